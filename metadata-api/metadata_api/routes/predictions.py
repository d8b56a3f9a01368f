"""Ask deployments about an input, and look at what they answered."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from metadata_api import deletions
from metadata_api.auth.access import IN_BODY, needs
from metadata_api.errors import responses
from metadata_api.evidence import lineage
from metadata_api.limits import max_body
from metadata_api.predicting import asking_again, predictions, recorded
from metadata_api.predicting.predictions import Dependencies, PredictionRequest
from metadata_api.routes import prediction_bodies
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, SessionDep
from metadata_api.routes.prediction_bodies import FORM_COPIES
from metadata_api.schemas.deletions import Deletion
from metadata_api.schemas.lineage import Lineage
from metadata_api.schemas.predictions import (
    AskedAgain,
    Comparison,
    PredictionPage,
    PredictionQuery,
    RecordedPrediction,
)
from serving_runtime.contracts import Role

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])
# What a form adds to the file in it.
FORM_BYTES = 64 * 1024


def _dependencies(of: ComponentsDep) -> Dependencies:
    return of.predicting


PredictionDeps = Annotated[Dependencies, Depends(_dependencies)]


async def _asked(request: Request, caller: CallerDep) -> PredictionRequest:
    asked = await prediction_bodies.read(request, caller.deployments)
    for name in asked.selection.deployments:
        caller.require_deployment(name)
    return replace(asked, asked_by=caller.subject)


@router.post(
    "",
    dependencies=[needs(Role.ANNOTATOR, deployment=IN_BODY)],
    responses=responses(400, 404, 409, 413, 415, 507),
    openapi_extra=prediction_bodies.request_body(),
)
@max_body(lambda largest: largest.image_bytes + FORM_BYTES, copies=FORM_COPIES)
async def predict(
    dependencies: PredictionDeps, asked: Annotated[PredictionRequest, Depends(_asked)]
) -> Comparison:
    """Ask deployments about one input, all at once: an image file, or a text, a row or tensors in JSON.

    A model that fails is one error row of the answer; one that cannot take the input is named and not asked. The header
    `Marina-Client: ui` has the pages recorded as the source.
    """
    return await predictions.predict_all(dependencies, asked)


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_predictions(session: SessionDep, wanted: Annotated[PredictionQuery, Query()]) -> PredictionPage:
    """Recorded predictions, newest first."""
    return recorded.list_page(session, wanted)


@router.get("/{uid}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_prediction(session: SessionDep, uid: UUID) -> RecordedPrediction:
    """One recorded prediction, by its `prediction_id`."""
    return recorded.show(session, uid)


@router.post(
    "/{uid}/again",
    dependencies=[needs(Role.ANNOTATOR, deployment=IN_BODY)],
    responses=responses(404, 409),
)
async def ask_again(dependencies: PredictionDeps, caller: CallerDep, uid: UUID) -> AskedAgain:
    """Ask a deployment that serves the same version about the same input, and say in what the answers differ.

    The new answer is recorded like any other.
    """
    return await asking_again.ask(dependencies, uid, caller.deployments, caller.subject)


@router.get("/{uid}/lineage", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_lineage(of: ComponentsDep, session: SessionDep, uid: UUID) -> Lineage:
    """How an answer came about: alias and move, deployment, archive, environment, training run, who decided."""
    return lineage.show(session, uid, of.environments)


@router.delete("/{uid}", dependencies=[needs(Role.ADMIN)], responses=responses(404))
def delete_prediction(session: SessionDep, uid: UUID) -> Deletion:
    """Delete a recorded prediction, and its input when neither another nor a label is about it."""
    return deletions.delete_prediction(session, uid)
