"""What the form of the page Deployment does that switches the recording of v2 traffic on and off."""

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.deployment_types import ListedDeployment, Recording
from model_ui.names import decimal, number, segment
from model_ui.pages import deployment_actions as actions
from model_ui.shell.status import Undo
from model_ui.shell.visit import Visit


async def record(visit: Visit, form: FormData) -> Response:
    """Record another share of the traffic, or nothing."""
    name, days = (str(form.get(field, "")).strip() for field in ("name", "days"))
    share = _share(str(form.get("percent", "")))
    if share is None:
        return visit.failed("Type a percentage from 0 to 100.")
    if days and number(days) is None:
        return visit.failed("Days are a whole number; leave it empty for the usual time.")
    before = await actions.read(visit, name)
    wanted = Recording(
        rate=share, answers=bool(form.get("answers")), retention_days=number(days) if days else None
    )
    since = str(form.get("since", ""))
    after = await visit.api.call(
        ListedDeployment,
        "PATCH",
        f"/v1/deployments/{segment(name)}",
        json={"recording": wanted.model_dump(), "reason": str(form.get("reason", "")).strip()},
        params={"unchanged_since": since} if since else {},
    )
    said = f"{share * 100:g} % of its requests are recorded" if share else "nothing is recorded"
    return visit.done(f"{name}: {said}.", undo=_undo(before, after))


def _share(text: str) -> float | None:
    percent = decimal(text.strip().removesuffix("%"))
    return percent / 100 if percent is not None and 0 <= percent <= 100 else None


def _undo(before: ListedDeployment, after: ListedDeployment) -> Undo | None:
    """The form that returns to what was recorded before, unless somebody changes the deployment meanwhile."""
    was = before.recording
    if was == after.recording:
        return None
    fields = {
        "do": "record",
        "name": before.name,
        "percent": f"{was.rate * 100:g}",
        "days": str(was.retention_days or ""),
        "answers": "1" if was.answers else "",
        "since": after.updated_at,
    }
    return Undo(address=f"/deployment?name={before.name}", fields=fields)
