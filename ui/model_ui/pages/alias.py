"""The page of one alias: where it points, why it does not answer, its history, and what moves it."""

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.deployment_types import Alias, AliasEvents
from model_ui.names import segment
from model_ui.pages import alias_policy, aliases
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.status import Undo
from model_ui.shell.visit import Visit

EVENTS = 20
# How long a page waits for a target that sleeps.
WAKE_SECONDS = 15.0


async def show(visit: Visit) -> Response:
    """The page; of an alias that was deleted its history."""
    name = segment(visit.query("name"))
    query = page_query(visit, EVENTS)
    events = await visit.api.call(AliasEvents, "GET", f"/v1/aliases/{name}/events", params=query)
    item = await aliases.read(visit, name)
    may = visit.me.may_all("deployer")
    policy = await alias_policy.read(visit, name) if item else None
    # What was before its creation belongs to an alias that was deleted.
    movable = (
        len(events.items) > 1
        and events.items[0].kind not in ("create", "delete")
        and not visit.query("cursor")
    )
    return await visit.render(
        "alias.html",
        title=name,
        name=name,
        item=item,
        may=may,
        before=events.items[1] if movable else None,
        policy=policy,
        typed=alias_policy.fields(policy) if policy else {},
        may_set_policy=visit.me.may_all("publisher"),
        events=events,
        deployments=[one.name for one in await visit.api.deployments()] if may else [],
        pager=pager(visit, events.next),
    )


async def roll_back(visit: Visit, form: FormData) -> Response:
    """Point where the last move came from."""
    name = str(form.get("name", ""))
    moved, said = await point_back(visit, name, str(form.get("reason", "")).strip())
    undo = Undo(address=f"/alias?name={name}", fields={"do": "rollback", "name": name})
    return visit.done(said, undo=undo) if moved else visit.done(said, kind="warn")


async def point_back(visit: Visit, name: str, reason: str) -> tuple[bool, str]:
    """Roll an alias back: whether it was moved, and the same as a sentence. What sleeps may take longer to wake."""
    answer = await visit.api.request(
        "POST",
        f"/v1/aliases/{segment(name)}/rollback",
        json={"reason": reason},
        params={"wait_seconds": WAKE_SECONDS},
        timeout=WAKE_SECONDS + 10,
    )
    found = answer.json()
    if answer.status_code == 202:
        return (
            False,
            f"{name} is not moved yet: {found['deployment']} is being woken. Roll back again in a moment.",
        )
    return True, f"{name} points at {found['deployment']}, version {found['version']}, again."


async def delete(visit: Visit, form: FormData) -> Response:
    """Forget it; its history stays."""
    name = segment(str(form.get("name", "")))
    item = await visit.api.call(Alias, "GET", f"/v1/aliases/{name}")
    await visit.api.request(
        "DELETE", f"/v1/aliases/{name}", params={"reason": str(form.get("reason", "")).strip()}
    )
    fields = {"do": "put", "name": name, "deployment": item.deployment}
    return visit.done(f"{name} is deleted.", undo=Undo(address="/aliases", fields=fields), to="/aliases")


PAGES = (
    Page(
        "/alias",
        show,
        {
            "put": aliases.put,
            "rollback": roll_back,
            "delete": delete,
            "policy": alias_policy.put,
            "default": alias_policy.delete,
        },
        pretty="/aliases/{name}",
    ),
)
