"""What belongs to lists of experiments: the fields to choose from, CSV, and experiments side by side."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from metadata_api import comparison, experiments_csv
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.listing import choices
from metadata_api.listing.fields import Section
from metadata_api.routes.dependencies import ComponentsDep, SessionDep
from metadata_api.routes.experiments import ListingDep, OneName
from metadata_api.schemas.comparison import Comparison
from metadata_api.schemas.fields_of_lists import ListFields, Tasks
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1", tags=["experiments"])


@router.get("/fields", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_fields(session: SessionDep, section: Section | None = None) -> ListFields:
    """Metrics, parameters and tags that some experiment has, with types and ranges; at most 1,000."""
    return choices.describe(session, choices.known(session, section=section))


@router.get("/tasks", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_tasks(session: SessionDep) -> Tasks:
    """Tasks that some experiment has by its newest version; at most 1,000."""
    return Tasks(items=choices.tasks(session))


@router.get("/compare", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def compare_experiments(
    session: SessionDep, experiment: Annotated[list[OneName], Query(min_length=1, max_length=200)]
) -> Comparison:
    """Parameters, metrics and tags in which experiments differ, in the order in which they are named."""
    return comparison.compare(session, experiment)


@router.get(
    "/experiments.csv",
    dependencies=[needs(Role.VIEWER)],
    responses={200: {"content": {"text/csv": {}}}, **responses(400)},
    response_class=StreamingResponse,
)
def export_experiments(
    of: ComponentsDep, asked: ListingDep, limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000
) -> StreamingResponse:
    """A list as CSV, with the chosen columns or all; no cell is a formula to a spreadsheet."""
    headers = {"Content-Disposition": 'attachment; filename="experiments.csv"'}
    lines = experiments_csv.stream(of.sessions, asked, limit)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
