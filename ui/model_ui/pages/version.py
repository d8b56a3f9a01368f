"""The page of one version: what the check found, what it takes and gives, where it runs; and what can be done."""

import json
from typing import Any

from pydantic import JsonValue
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.deployment_types import DeploymentList
from model_ui.names import number, segment
from model_ui.pages import deployment_actions as actions
from model_ui.render.versions import asked_for, column_words, tensor_words
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit
from model_ui.spec_types import Tensor
from model_ui.version_types import ListedVersion

LABELS, COLUMNS, FILES = 40, 40, 60


async def show(visit: Visit) -> Response:
    """The page."""
    experiment, wanted = segment(visit.query("experiment")), number(visit.query("number"))
    if wanted is None:
        raise ApiRejected(404, "version_unknown", "There is no such version.")
    path = f"/v1/experiments/{experiment}/versions/{wanted}"
    item = await visit.api.call(ListedVersion, "GET", path)
    found = await visit.api.call(
        DeploymentList, "GET", "/v1/deployments", params={"experiment": experiment, "limit": "100"}
    )
    others = [one for one in found.items if one.name not in item.deployments and one.owner != "helm"]
    return await visit.render(
        "version.html",
        title=f"{experiment} v{item.version}",
        seconds=0,
        item=item,
        serving=[one for one in found.items if one.name in item.deployments],
        others=[one for one in others if visit.me.may("deployer", one.name)],
        runtimes=found.runtimes,
        may=visit.me.may_all("deployer"),
        free=_free_name(item, [one.name for one in found.items]),
        sides=(("Takes", item.inputs), ("Gives", item.outputs)),
        words=tensor_words,
        column_words=column_words,
        asks_for=asked_for(item.archive_settings),
        settings=item.archive_settings,
        checks=_checks(item),
        limits={"labels": LABELS, "columns": COLUMNS, "files": FILES},
        snippets=_snippets(visit, item),
    )


def _free_name(item: ListedVersion, taken: list[str]) -> str:
    return item.experiment if item.experiment not in taken else f"{item.experiment[:34]}-v{item.version}"


def _checks(item: ListedVersion) -> list[tuple[str, str, str]]:
    """What is known of the archive: kind of chip, its word, and a sentence."""
    golden = "golden.json" in item.files
    signed = f"Signed by {item.signed_by}." if item.signed_by else "Nobody signed it."
    spec = "model.yaml says what it takes and gives."
    return [
        ("ok", "checked", "Read, rewritten canonically and accepted."),
        ("ok" if golden else "quiet", "self-test" if golden else "no golden pair", _self_test(golden)),
        ("ok" if item.signed_by else "quiet", "signed" if item.signed_by else "unsigned", signed),
        ("ok", "model spec", spec)
        if "model.yaml" in item.files
        else ("warn", "no model spec", _derived(item)),
    ]


def _self_test(golden: bool) -> str:
    if golden:
        return "Its golden pair is asked at every start; another answer fails the start."
    return "It is asked an example of its spec at every start, whatever the answer is."


def _derived(item: ListedVersion) -> str:
    return (
        "What it takes and gives is derived from its handler."
        if item.inputs
        else "Nothing is known of its inputs."
    )


def _snippets(visit: Visit, item: ListedVersion) -> dict[str, str]:
    """How to fetch it; and, where it is deployed, how to ask it as curl and as Python."""
    api = visit.frame.public_api or "https://HOST"
    base = 'curl --fail -H "Authorization: Bearer $MARINA_TOKEN"'
    fetch = {"Download": f"{base} -o {item.experiment}-{item.version}.mar {api}{item.download}"}
    if not item.deployments:
        return fetch
    name = item.deployments[0]
    tensor = item.inputs[0] if item.inputs else Tensor()
    if tensor.kind == "image":
        curl = f"{base} -F image=@digit.png -F deployments={name} {api}/v1/predictions"
        code = f'files={{"image": open("digit.png", "rb")}}, data={{"deployments": "{name}"}}'
    else:
        body = {**_body(tensor), "deployments": [name]}
        curl = f"{base} -H 'Content-Type: application/json' -d '{json.dumps(body)}' {api}/v1/predictions"
        code = f"json={body!r}"
    python = (
        "import os, httpx\n\n"
        'headers = {"Authorization": f"Bearer {os.environ[\'MARINA_TOKEN\']}"}\n'
        f'answer = httpx.post("{api}/v1/predictions", headers=headers, timeout=30,\n    {code})\n'
        'print(answer.raise_for_status().json()["results"])'
    )
    return {"curl": curl, "Python": python, **fetch}


def _body(tensor: Tensor) -> dict[str, Any]:
    if tensor.kind == "table" and tensor.columns:
        return {
            "row": {
                column.name: None
                if column.optional and column.example is None
                else _example(column.example, column.categories)
                for column in tensor.columns
            }
        }
    if tensor.kind == "text":
        return {"text": tensor.example if isinstance(tensor.example, str) else "a text"}
    data: JsonValue = tensor.example if tensor.example is not None else []
    return {"tensors": [{"name": tensor.name, "datatype": tensor.datatype, "shape": [1], "data": data}]}


def _example(found: JsonValue, categories: tuple[str, ...]) -> JsonValue:
    return found if found is not None else categories[0] if categories else 0


PAGES = (Page("/version", show, {"deploy": actions.deploy, "change": actions.change}),)
