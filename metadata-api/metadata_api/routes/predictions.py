"""Ask deployments about an image, and look at what they answered."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, File, Form, Query, UploadFile

from metadata_api import deletions
from metadata_api.auth.access import IN_BODY, needs
from metadata_api.deploying.base import WAY_SECONDS
from metadata_api.errors import Invalid, responses
from metadata_api.limits import max_body
from metadata_api.predicting import predictions
from metadata_api.predicting.predictions import Dependencies, PredictionRequest
from metadata_api.routes.dependencies import CallerDep, ComponentsDep, SessionDep
from metadata_api.schemas.deletions import Deletion
from metadata_api.schemas.fields import Name
from metadata_api.schemas.predictions import Comparison, PredictionPage, RecordedPrediction
from serving_runtime.contracts import NAME_PATTERN, RESPONSE_SECONDS_BOUNDS, Role

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])
SHA256 = r"^[0-9a-f]{64}$"
MAX_DEADLINE_MS = 1000 * (RESPONSE_SECONDS_BOUNDS[1] + int(WAY_SECONDS))
# What a form adds to the file in it.
FORM_BYTES = 64 * 1024


def _dependencies(of: ComponentsDep) -> Dependencies:
    settings = of.settings
    return Dependencies(
        of.sessions, of.inputs, of.pool, settings.serving_url.rstrip("/"), settings.max.response_seconds
    )


PredictionDeps = Annotated[Dependencies, Depends(_dependencies)]


@router.post(
    "",
    dependencies=[needs(Role.ANNOTATOR, deployment=IN_BODY)],
    responses=responses(400, 404, 409, 413, 415, 507),
)
@max_body(lambda largest: largest.image_bytes + FORM_BYTES, copies=3)
async def predict(
    caller: CallerDep,
    dependencies: PredictionDeps,
    image: Annotated[UploadFile | None, File(description="PNG or JPEG")] = None,
    input_sha256: Annotated[str | None, Form(pattern=SHA256)] = None,
    deployments: Annotated[list[Name] | None, Form(description="None means all that shall run.")] = None,
    deadline_ms: Annotated[
        int | None, Form(ge=100, le=MAX_DEADLINE_MS, description="None is what each deployment may take.")
    ] = None,
) -> Comparison:
    """Ask deployments about one image, all at once; a model that fails is one error row of the answer."""
    if (image is None) == (input_sha256 is None):
        raise Invalid(
            "image_missing", "Send either the file `image` or the `input_sha256` of a stored input."
        )
    content = await image.read() if image is not None else None
    names = deployments or sorted(caller.deployments or ())
    for name in names:
        caller.require_deployment(name)
    asked = PredictionRequest(content, input_sha256, tuple(names), deadline_ms)
    return await predictions.predict_all(dependencies, asked)


@router.get("", dependencies=[needs(Role.VIEWER)], responses=responses())
def list_predictions(
    session: SessionDep,
    deployment: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    input_sha256: Annotated[
        str | None, Query(alias="input", pattern=SHA256, description="Its sha256.")
    ] = None,
    request_id: Annotated[UUID | None, Query(description="The id of one call.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> PredictionPage:
    """Recorded predictions, newest first."""
    return predictions.list_page(
        session,
        deployment=deployment,
        input_sha256=input_sha256,
        request_id=request_id,
        limit=limit,
        before=cursor,
    )


@router.get("/{uid}", dependencies=[needs(Role.VIEWER)], responses=responses(404))
def show_prediction(session: SessionDep, uid: UUID) -> RecordedPrediction:
    """One recorded prediction, by its `prediction_id`."""
    return predictions.show(session, uid)


@router.delete("/{uid}", dependencies=[needs(Role.ADMIN)], responses=responses(404))
def delete_prediction(session: SessionDep, uid: UUID) -> Deletion:
    """Delete a recorded prediction, and its input when no other is about it."""
    return deletions.delete_prediction(session, uid)
