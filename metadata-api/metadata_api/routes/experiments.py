"""Experiments and their curves."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import AwareDatetime

from metadata_api import curves, deletions, experiment_edits, experiments, points
from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.listing import cursor as cursors
from metadata_api.routes.dependencies import ConsentDep, SessionDep
from metadata_api.schemas import experiments as bodies
from metadata_api.schemas.deletions import Deletion
from metadata_api.schemas.fields import NameInPath
from serving_runtime.contracts import NAME_PATTERN, Role

router = APIRouter(prefix="/v1", tags=["experiments"])
# Longer ones are read, so that the error says what is allowed.
MAX_QUERY = 4000
MAX_COLUMNS_QUERY = 16_000
OneName = Annotated[str, Query(pattern=NAME_PATTERN)]


def _listing(
    filter: Annotated[
        str | None,
        Query(max_length=MAX_QUERY, description="For example `metrics.f1 > 0.9 and params.lr < 0.1`."),
    ] = None,
    sort: Annotated[
        str,
        Query(
            max_length=MAX_QUERY,
            description="Up to 3 fields; a leading minus sorts downwards: `-metrics.f1,name`.",
        ),
    ] = "-created_at",
    columns: Annotated[
        str | None,
        Query(
            max_length=MAX_COLUMNS_QUERY,
            description="The metrics, params and tags to show, such as `metrics.f1,params.lr`; by default all.",
        ),
    ] = None,
    search: Annotated[
        str | None, Query(max_length=200, description="Part of a name, in either case.")
    ] = None,
    task: Annotated[str | None, Query(max_length=200, description="The task of the newest version.")] = None,
    with_model: Annotated[bool, Query(description="Only experiments that a model was uploaded to.")] = False,
) -> bodies.Listing:
    return bodies.Listing(
        filter=filter, sort=sort, columns=columns, search=search, task=task, with_model=with_model
    )


ListingDep = Annotated[bodies.Listing, Depends(_listing)]


@router.get(
    "/experiments",
    dependencies=[needs(Role.VIEWER)],
    responses={200: {"model": bodies.ExperimentPage}, **responses(400)},
    response_class=Response,
)
def list_experiments(
    session: SessionDep,
    asked: ListingDep,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[str | None, Query(max_length=cursors.MAX_LENGTH)] = None,
) -> Response:
    """A page of experiments; those without a value in a field that is sorted by come last, upwards and downwards."""
    found = experiments.list_page(session, asked, limit=limit, cursor=cursor)
    # As it is: it is checked already, and doing so again takes longer than reading it.
    return Response(found.model_dump_json(), media_type="application/json")


@router.post(
    "/experiments", dependencies=[needs(Role.PUBLISHER)], status_code=201, responses=responses(400, 409)
)
def create_experiment(new: bodies.NewExperiment, session: SessionDep) -> bodies.Experiment:
    """Create an experiment, with the curves of its training if there are any."""
    return experiments.create(session, new)


@router.get("/experiments/{name}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_experiment(name: NameInPath, session: SessionDep) -> bodies.Experiment:
    """One experiment."""
    return experiments.show(session, name)


@router.patch("/experiments/{name}", dependencies=[needs(Role.PUBLISHER)], responses=responses(400, 404, 409))
def change_experiment(
    name: NameInPath,
    change: bodies.ExperimentChange,
    session: SessionDep,
    unchanged_since: Annotated[
        AwareDatetime | None,
        Query(
            description="`updated_at` as the caller saw it: what was edited after it stays as it is (409)."
        ),
    ] = None,
) -> bodies.Experiment:
    """Change what is said of an experiment: what is left out stays, keys are merged, null removes one."""
    return experiment_edits.change(session, name, change, unchanged_since)


@router.post(
    "/experiments/{name}/points", dependencies=[needs(Role.PUBLISHER)], responses=responses(400, 404, 409)
)
def append_points(name: NameInPath, new: bodies.AppendedPoints, session: SessionDep) -> bodies.Appended:
    """Append points to the curves of a running experiment, in any order; the same points again change nothing.

    Of a step that comes again, the later value counts.
    """
    return points.append(session, name, new)


@router.get("/metrics", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_metrics(session: SessionDep) -> bodies.MetricNames:
    """Names of all metrics that an experiment has recorded, at most 1,000."""
    return experiments.metric_names(session)


@router.get(
    "/curves",
    dependencies=[needs(Role.VIEWER)],
    responses={
        200: {"model": bodies.Curves},
        304: {"description": "Nobody appended points."},
        **responses(404),
    },
    response_class=Response,
)
def read_curves(
    session: SessionDep,
    experiment: Annotated[list[OneName], Query(min_length=1, max_length=200)],
    metric: Annotated[bodies.Metric, Query()] = "loss",
    points: Annotated[int, Query(ge=4, le=5000, description="About how many points a curve may have.")] = 400,
    x: Annotated[bodies.Axis, Query(description="By time, points without one are left out.")] = "step",
    if_none_match: Annotated[str, Header(max_length=1000)] = "",
) -> Response:
    """One metric of many experiments; each bucket of a long curve keeps its first, last, minimum and maximum point."""
    found = experiments.find(session, experiment)
    headers = {"ETag": curves.tag(found, metric, points, x), "Cache-Control": "no-cache"}
    if headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    read = curves.read(session, found, metric, points, x)
    # Shaped by hand: validating 40,000 points a second time would take longer than reading them.
    return Response(read.model_dump_json(exclude_none=True), media_type="application/json", headers=headers)


@router.delete("/experiments/{name}", dependencies=[needs(Role.ADMIN)], responses=responses(404, 409))
def delete_experiment(session: SessionDep, name: NameInPath, consent: ConsentDep) -> Deletion:
    """Delete an experiment, with `cascade` also its versions; what is served has to be removed before."""
    return deletions.delete_experiment(session, name, consent)
