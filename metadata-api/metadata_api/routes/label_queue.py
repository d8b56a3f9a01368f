"""The queue of inputs to label."""

from typing import Annotated

from fastapi import APIRouter, Query

from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.evidence import queue
from metadata_api.routes.dependencies import CallerDep, SessionDep
from metadata_api.routes.experiments import OneName
from metadata_api.schemas.labels import TaskName
from metadata_api.schemas.queue import LabelQueue
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/label-queue", tags=["labels"])


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses(400, 404, 409))
def read_queue(
    session: SessionDep,
    caller: CallerDep,
    task: Annotated[TaskName | None, Query()] = None,
    alias: Annotated[OneName | None, Query(description="Whose version is the champion.")] = None,
    challenger: Annotated[
        list[OneName] | None, Query(max_length=50, description="Deployments that stand against it.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> LabelQueue:
    """Which inputs to label next: what decides most first, and every fifth place drawn at random.

    With an alias those on which its version and the challengers differ come first, without challengers all others that
    are served for its task. Inputs that have a label, or that the caller skipped, are left out.
    """
    return queue.read(session, queue.Asked(task, alias, challenger or ()), caller.subject, limit)
