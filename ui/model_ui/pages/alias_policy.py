"""The policy of an alias on its page: what a candidate needs to take it, set and taken away; called by `alias`."""

from typing import Any

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.evidence_types import Policy
from model_ui.names import decimal, number, segment
from model_ui.shell.status import Undo
from model_ui.shell.visit import Visit

_PERCENT = 100.0


class _Wrong(Exception):
    """What somebody typed is no policy."""


async def read(visit: Visit, name: str) -> Policy:
    """What holds for an alias."""
    return await visit.api.call(Policy, "GET", f"/v1/aliases/{segment(name)}/policy")


async def put(visit: Visit, form: FormData) -> Response:
    """Give it a policy of its own."""
    name = segment(str(form.get("name", "")))
    before = await read(visit, name)
    try:
        body = _asked(form)
    except _Wrong as wrong:
        return visit.failed(str(wrong))
    await visit.api.request("PUT", f"/v1/aliases/{name}/policy", json=body)
    return visit.done(f"{name} has a policy of its own.", undo=_back(name, before))


async def delete(visit: Visit, form: FormData) -> Response:
    """Let the default hold again."""
    name = segment(str(form.get("name", "")))
    before = await read(visit, name)
    await visit.api.request("DELETE", f"/v1/aliases/{name}/policy")
    return visit.done(f"The default policy holds for {name} again.", undo=_back(name, before))


def fields(policy: Policy) -> dict[str, str]:
    """A policy as the form has it: shares in percent, and nothing where a rule asks for nothing."""
    return {
        "task": policy.task or "",
        "min_labels": str(policy.min_labels),
        "kind": policy.test.kind,
        "alpha": _share(policy.test.alpha),
        "margin": _share(policy.test.margin or None),
        "no_class_worse_than": _share(policy.no_class_worse_than),
        "max_p95_ms": "" if policy.max_p95_ms is None else f"{policy.max_p95_ms:g}",
        "max_error_share": _share(policy.max_error_share),
        "replay": "yes" if policy.replay else "",
    }


def _back(name: str, before: Policy) -> Undo:
    kept = {"do": "default"} if before.is_default else {"do": "policy", **fields(before)}
    return Undo(address=f"/alias?name={name}", fields={"name": name, **kept})


def _asked(form: FormData) -> dict[str, Any]:
    """The body that says it; raises _Wrong for what is no number, and leaves limits to the API."""
    typed = {name: str(value).strip() for name, value in form.items()}
    labels = number(typed.get("min_labels", ""))
    if labels is None:
        raise _Wrong("Type how many labels it takes at least, such as 30.")
    kind = typed.get("kind", "")
    alpha = _number(typed, "alpha", "the chance of an error")
    if alpha is None:
        raise _Wrong("Type the chance of an error, such as 5 (%).")
    margin = _number(typed, "margin", "the margin")
    if kind == "non_inferiority" and not margin:
        raise _Wrong("Not worse by how much? Type a margin, such as 2 (%).")
    return {
        "task": typed.get("task") or None,
        "min_labels": labels,
        "test": {
            "kind": kind,
            "alpha": alpha / _PERCENT,
            # Only that test has one; what stands in the field is of a choice before.
            "margin": (margin or 0.0) / _PERCENT if kind == "non_inferiority" else 0.0,
        },
        "no_class_worse_than": _fraction(_number(typed, "no_class_worse_than", "what a class may lose")),
        "max_p95_ms": _number(typed, "max_p95_ms", "the latency"),
        "max_error_share": _fraction(_number(typed, "max_error_share", "the share of errors")),
        "replay": typed.get("replay") == "yes",
    }


def _number(typed: dict[str, str], field: str, what: str) -> float | None:
    """None where nothing is typed."""
    if not typed.get(field):
        return None
    if (found := decimal(typed[field])) is None:
        raise _Wrong(f"Type a number for {what}, or leave it empty.")
    return found


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / _PERCENT


def _share(fraction: float | None) -> str:
    return "" if fraction is None else f"{_PERCENT * fraction:.6g}"
