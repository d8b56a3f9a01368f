"""What the forms of the pages Deployments and Deployment do, each with what takes it back."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiError, ApiUnauthenticated
from model_ui.deployment_types import ListedDeployment
from model_ui.names import number, segment
from model_ui.shell.status import Undo
from model_ui.shell.visit import Visit

LIST = "/deployments"
KEPT = ("name", "experiment", "version", "runtime", "replicas", "resources", "recording", "desired")
KEPT_OPTIONS = ("startup_seconds", "response_seconds", "batch_size", "batch_delay_ms")
DONE = {"stop": "stops", "start": "starts", "remove": "is removed"}
# What was asked for at once; a page has fewer rows.
MOST = 100

# What is to be undone comes back from the browser.
REMOVED = TypeAdapter(list[dict[str, JsonValue]])
CHANGED = TypeAdapter(list[tuple[str, str, str]])
UNREADABLE = "This cannot be undone any more. Look at the list, and do it by hand."

Change = Callable[[Visit, str, str], Awaitable[ListedDeployment | None]]


async def read(visit: Visit, name: str) -> ListedDeployment:
    """One deployment; raises ApiError."""
    return await visit.api.call(ListedDeployment, "GET", f"/v1/deployments/{segment(name)}")


async def stop(visit: Visit, form: FormData) -> Response:
    """Stop those that are named."""
    return await _several(visit, form, "stop", _act("stop"))


async def start(visit: Visit, form: FormData) -> Response:
    """Start those that are named."""
    return await _several(visit, form, "start", _act("start"))


async def remove(visit: Visit, form: FormData) -> Response:
    """Remove those that are named."""

    async def one(visit: Visit, name: str, _: str) -> ListedDeployment | None:
        await visit.api.request(
            "DELETE", f"/v1/deployments/{segment(name)}", params={"reason": _text(form, "reason")}
        )
        return None

    return await _several(visit, form, "remove", one)


async def restore(visit: Visit, form: FormData) -> Response:
    """Bring back what was removed, as it was."""
    try:
        removed = REMOVED.validate_json(_text(form, "kept"))
    except ValidationError:
        removed = []
    if not removed:
        return visit.failed(UNREADABLE, to=LIST)
    names = []
    for kept in removed:
        body = {key: kept[key] for key in (*KEPT, *KEPT_OPTIONS) if key in kept and key != "desired"}
        made = await visit.api.call(ListedDeployment, "POST", "/v1/deployments", json=body)
        if kept.get("desired") == "stopped":
            await visit.api.request("POST", f"/v1/deployments/{segment(made.name)}/stop")
        names.append(made.name)
    return visit.done(f"Undone: {', '.join(names)} {_be(names)} back.", to=LIST)


async def change(visit: Visit, form: FormData) -> Response:
    """Serve another version."""
    name, version = _text(form, "name"), number(_text(form, "version").removeprefix("v"))
    if version is None:
        return visit.failed("Choose a version first.")
    before = await read(visit, name)
    body = {"version": version, "reason": _text(form, "reason")}
    after = await visit.api.call(
        ListedDeployment, "PATCH", f"/v1/deployments/{segment(name)}", json=body, params=_since(form)
    )
    if after.version == before.version:
        return visit.done(f"{name} serves version {after.version} already.")
    undo = _back(before, after)
    return visit.done(f"{name} changes to version {after.version}.", undo=undo)


async def roll_back(visit: Visit, form: FormData) -> Response:
    """Serve the previous version again."""
    name = _text(form, "name")
    before = await read(visit, name)
    after = await visit.api.call(
        ListedDeployment,
        "POST",
        f"/v1/deployments/{segment(name)}/rollback",
        json={"reason": _text(form, "reason")},
        params=_since(form),
    )
    return visit.done(f"{name} goes back to version {after.version}.", undo=_back(before, after))


async def deploy(visit: Visit, form: FormData) -> Response:
    """Deploy a version of an experiment."""
    body: dict[str, Any] = {
        key: found for key in ("experiment", "name", "runtime", "reason") if (found := _text(form, key))
    }
    written = _text(form, "version").removeprefix("v")
    if "experiment" not in body:
        return visit.failed("Choose an experiment first.")
    if written and number(written) is None:
        return visit.failed("A version is a number; leave it empty for the latest.")
    if written:
        body["version"] = number(written)
    made = await visit.api.call(ListedDeployment, "POST", "/v1/deployments", json=body)
    return visit.done(f"{made.name} starts with version {made.version}.", to=f"/deployment?name={made.name}")


def _act(verb: str) -> Change:
    async def one(visit: Visit, name: str, reason: str) -> ListedDeployment | None:
        path = f"/v1/deployments/{segment(name)}/{verb}"
        return await visit.api.call(ListedDeployment, "POST", path, json={"reason": reason})

    return one


async def _several(visit: Visit, form: FormData, action: str, act: Change) -> Response:
    """Do it to each that the form names, and say what came of it: what was done, and what was not with its reason."""
    names = [str(name) for name in form.getlist("name") if name][:MOST]
    if not names:
        return visit.failed("Choose deployments first.", to=LIST)
    before: list[ListedDeployment] = []
    after: list[ListedDeployment] = []
    wrong: list[str] = []
    for name in names:
        try:
            was = await read(visit, name)
            now = await act(visit, name, _text(form, "reason"))
        except ApiUnauthenticated:
            raise
        except ApiError as error:
            wrong.append(error.detail)
            continue
        before.append(was)
        after += [now] if now else []
    to = LIST if action == "remove" or len(names) > 1 else ""
    if not before:
        return visit.failed(" ".join(dict.fromkeys(wrong)), to=to)
    done = [one.name for one in before]
    words = f"{', '.join(done)} {DONE[action] if len(done) == 1 else _plural(action)}."
    said = " ".join([words, *dict.fromkeys(wrong)])
    return visit.done(said, kind="warn" if wrong else "ok", undo=_undo(action, before, after), to=to)


def _undo(action: str, before: Sequence[ListedDeployment], after: Sequence[ListedDeployment]) -> Undo | None:
    if action == "remove":
        fields = {*KEPT, *KEPT_OPTIONS}
        kept = [one.model_dump(include=fields, exclude_none=True) for one in before]
        return Undo(address=LIST, fields={"do": "restore", "kept": json.dumps(kept)})
    changed = [
        was for was in before if any(now.name == was.name and now.desired != was.desired for now in after)
    ]
    if not changed:
        return None
    # As it was, which need not be the opposite: somebody else may have stopped or started it already.
    since = {now.name: now.updated_at for now in after}
    pairs = [[was.name, was.desired, since[was.name]] for was in changed]
    return Undo(address=LIST, fields={"do": "undo", "changed": json.dumps(pairs)})


async def undo(visit: Visit, form: FormData) -> Response:
    """Start again what was stopped, or the other way round, unless somebody has changed it since."""
    try:
        changed = CHANGED.validate_json(_text(form, "changed"))
    except ValidationError:
        changed = []
    names, wrong = [], []
    for name, desired, since in changed:
        verb = "start" if desired == "running" else "stop"
        path = f"/v1/deployments/{segment(name)}/{verb}"
        try:
            await visit.api.request("POST", path, params={"unchanged_since": since})
        except ApiUnauthenticated:
            raise
        except ApiError as error:
            wrong.append(error.detail)
        else:
            names.append(f"{name} {'runs' if verb == 'start' else 'is stopped'}")
    if not names:
        return visit.failed(" ".join(wrong) or UNREADABLE, to=LIST)
    words = f"Undone: {', '.join(names)} again."
    return visit.done(" ".join([words, *wrong]), kind="warn" if wrong else "ok", to=LIST)


def _back(before: ListedDeployment, after: ListedDeployment) -> Undo | None:
    """The form that returns to the version of before, unless somebody changes it meanwhile."""
    if before.version == after.version:
        return None
    fields = {"do": "change", "name": before.name, "version": str(before.version), "since": after.updated_at}
    return Undo(address=f"/deployment?name={before.name}", fields=fields)


def _since(form: FormData) -> dict[str, str]:
    since = _text(form, "since")
    return {"unchanged_since": since} if since else {}


def _text(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()


def _plural(action: str) -> str:
    return {"stop": "stop", "start": "start", "remove": "are removed"}[action]


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
