"""Whether the process lives and whether it can do its work; asked by the launcher and by Kubernetes."""

from fastapi import APIRouter

from metadata_api.auth.access import open_to_all
from metadata_api.database import migrate
from metadata_api.errors import responses
from metadata_api.routes.dependencies import ComponentsDep

router = APIRouter(tags=["health"])
TOKENS_WARNING = (
    "The tokens that model servers take cannot be written: new and revoked tokens do not reach them, and new pods "
    "wait. The API's log says why."
)


@router.get("/livez", dependencies=[open_to_all()])
async def livez() -> dict[str, str]:
    """The event loop answers. Looks at no dependency, so a database that is away restarts no process."""
    return {"status": "ok"}


@router.get("/readyz", dependencies=[open_to_all()], responses=responses())
def readyz(of: ComponentsDep) -> dict[str, str]:
    """The database answers and has at least the schema that this release needs.

    A `warning` is something that an operator should put right, though this API can work: nothing that is secret.
    """
    migrate.check(of.engine)
    if of.serving_tokens is not None and of.serving_tokens.problem:
        return {"status": "ok", "warning": TOKENS_WARNING}
    return {"status": "ok"}
