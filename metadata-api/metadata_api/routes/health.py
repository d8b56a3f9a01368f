"""Whether the process lives and whether it can do its work; asked by the launcher and by Kubernetes."""

from fastapi import APIRouter
from pydantic import BaseModel

from metadata_api.auth.access import open_to_all
from metadata_api.database import migrate
from metadata_api.errors import responses
from metadata_api.objects import ledger
from metadata_api.routes.dependencies import ComponentsDep

router = APIRouter(tags=["health"])
TOKENS_WARNING = (
    "The tokens that model servers take cannot be written: new and revoked tokens do not reach them, and new pods "
    "wait. The API's log says why."
)


class StoreHealth(BaseModel):
    """Objects that rows need and that are not as they should be, as far as anybody noticed."""

    missing: int = 0
    damaged: int = 0


class Readiness(BaseModel):
    """The API can do its work."""

    status: str = "ok"
    store: StoreHealth
    warning: str | None = None


@router.get("/livez", dependencies=[open_to_all()])
async def livez() -> dict[str, str]:
    """The event loop answers. Looks at no dependency, so a database that is away restarts no process."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[open_to_all()], responses=responses(), response_model_exclude_none=True)
def readyz(of: ComponentsDep) -> Readiness:
    """The database answers and has at least the schema that this release needs.

    Objects of the store that are missing or damaged are counted; requests that do not need them go on. A `warning` is
    something that an operator should put right, though this API can work.
    """
    migrate.check(of.engine)
    stuck = of.serving_tokens is not None and bool(of.serving_tokens.problem)
    with of.sessions() as session:
        store = StoreHealth(**ledger.problems(session))
    return Readiness(store=store, warning=TOKENS_WARNING if stuck else None)
