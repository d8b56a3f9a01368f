"""The pages of aliases: where each points, and whether that answers; set, move, roll back and delete them."""

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.api_errors import ApiRejected
from model_ui.deployment_types import Alias, AliasPage
from model_ui.names import segment
from model_ui.shell.lists import page_query, pager
from model_ui.shell.page import Page
from model_ui.shell.status import Undo
from model_ui.shell.visit import Visit

ROWS = 20


async def show(visit: Visit) -> Response:
    """All aliases."""
    query = page_query(visit, ROWS)
    page = await visit.api.call(AliasPage, "GET", "/v1/aliases", params=query)
    may = visit.me.may_all("deployer")
    return await visit.render(
        "aliases.html",
        title="Aliases",
        page=page,
        may=may,
        deployments=[item.name for item in await visit.api.deployments()] if may else [],
        pager=pager(visit, page.next),
    )


async def read(visit: Visit, name: str) -> Alias | None:
    """One alias; None when there is none of this name."""
    try:
        return await visit.api.call(Alias, "GET", f"/v1/aliases/{name}")
    except ApiRejected as error:
        if error.status != 404:
            raise
        return None


async def put(visit: Visit, form: FormData) -> Response:
    """Set an alias, or move it."""
    name, deployment = (str(form.get(field, "")).strip() for field in ("name", "deployment"))
    if not name or not deployment:
        return visit.failed("Name the alias and choose a deployment.")
    known = await read(visit, segment(name))
    body = {"deployment": deployment, "reason": str(form.get("reason", "")).strip()}
    path = f"/v1/aliases/{name}"
    now = await visit.api.call(Alias, "PUT", path, json=body)
    words = f"{name} points at {now.deployment}, version {now.version}."
    if known and (known.deployment, known.version) == (now.deployment, now.version):
        return visit.done(f"{name} points there already.", to=f"/alias?name={name}")
    fields = {"do": "rollback" if known else "delete", "name": name}
    undo = Undo(address=f"/alias?name={name}", fields=fields)
    return visit.done(words, undo=undo, to=f"/alias?name={name}")


PAGES = (Page("/aliases", show, {"put": put}),)
