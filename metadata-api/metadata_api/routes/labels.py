"""Labels of inputs: what is right, as people say it."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.evidence import labels
from metadata_api.routes.dependencies import CallerDep, SessionDep
from metadata_api.routes.inputs import Digest
from metadata_api.schemas.labels import Label, LabelPage, NewLabel, NewSkip, TaskName
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/inputs/{sha256}", tags=["labels"])


@router.post(
    "/labels",
    dependencies=[needs(Role.ANNOTATOR)],
    status_code=201,
    responses={200: {"model": Label, "description": "It was said before."}, **responses(400, 404, 409)},
)
def label_input(
    session: SessionDep, caller: CallerDep, sha256: Digest, new: NewLabel, response: Response
) -> Label:
    """Say what is right about an input, for all versions of a task that were or will be asked about it.

    It supersedes what was said before, which stays as history.
    """
    said, is_new = labels.put(session, sha256, new, caller.subject)
    response.status_code = 201 if is_new else 200
    return said


@router.get("/labels", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def list_labels(
    session: SessionDep,
    sha256: Digest,
    task: Annotated[TaskName | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> LabelPage:
    """What was said about an input, newest first."""
    return labels.list_page(session, sha256, task=task, limit=limit, before=cursor)


@router.delete("/labels", dependencies=[needs(Role.ANNOTATOR)], responses=responses(404, 409))
def take_back_label(
    session: SessionDep,
    sha256: Digest,
    task: Annotated[TaskName, Query()],
    label: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Label:
    """Take back what is said about an input for a task: it counts no longer, and stays as history.

    With `label` only the label of this id, and no other that has taken its place meanwhile.
    """
    return labels.take_back(session, sha256, task, label)


@router.put("/skips", dependencies=[needs(Role.ANNOTATOR)], status_code=204, responses=responses(404))
def skip_input(session: SessionDep, caller: CallerDep, sha256: Digest, skipped: NewSkip) -> None:
    """Leave an input out of the caller's queue for a task."""
    labels.skip(session, sha256, skipped.task, caller.subject)


@router.delete("/skips", dependencies=[needs(Role.ANNOTATOR)], status_code=204, responses=responses())
def take_back_skip(
    session: SessionDep, caller: CallerDep, sha256: Digest, task: Annotated[TaskName, Query()]
) -> None:
    """Offer an input to the caller again."""
    labels.take_back_skip(session, sha256, task, caller.subject)
