"""Scores of versions, by the labels of people."""

from typing import Annotated

from fastapi import APIRouter, Query

from metadata_api.auth.access import needs
from metadata_api.errors import responses
from metadata_api.evidence import scores
from metadata_api.routes.dependencies import SessionDep
from metadata_api.routes.experiments import OneName
from metadata_api.schemas.fields import MAX_INT, NameInPath
from metadata_api.schemas.scores import Scores
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1", tags=["scores"])
# Every pair of them is compared.
MOST = 50


@router.get("/experiments/{name}/scores", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def score_experiment(
    session: SessionDep,
    name: NameInPath,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=MAX_INT)] = None,
) -> Scores:
    """What the current labels say of an experiment's versions, newest first, and of every two of them."""
    return scores.of_experiment(session, name, limit=limit, before=cursor)


@router.get("/scores", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def score_deployments(
    session: SessionDep,
    deployment: Annotated[list[OneName], Query(min_length=1, max_length=MOST)],
) -> Scores:
    """What the current labels say of the versions that deployments are to serve, and of every two of them."""
    return scores.of_deployments(session, deployment)
