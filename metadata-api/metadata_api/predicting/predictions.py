"""Predictions: one image to many deployments at once, every answer or failure recorded before it is told.

Called by the routes for predictions. No session is open while models are asked: read, close, ask, record.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from metadata_api.database.pages import first_rows
from metadata_api.database.session import Sessions
from metadata_api.database.tables import Input, Prediction
from metadata_api.deploying.base import WAY_SECONDS
from metadata_api.errors import ErrorBody, NotFound
from metadata_api.http_pool import HttpPool
from metadata_api.memory import charge
from metadata_api.predicting import images, v2_client
from metadata_api.predicting.results import Outcome, agreement, encode, record
from metadata_api.predicting.targets import Target, find_targets
from metadata_api.predicting.v2_client import InferenceFailed, ModelOutput
from metadata_api.schemas import predictions as bodies
from metadata_api.storage.base import ObjectStore

# Of an image: its file, and what is sent of it, in base64.
_COPIES = 3
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dependencies:
    """What a prediction needs of the application."""

    sessions: Sessions
    inputs: ObjectStore
    pool: HttpPool
    serving_url: str
    """`{name}` in it becomes the deployment's name."""
    response_seconds: float
    """How long a server may take to answer where its deployment does not say so."""


@dataclass(frozen=True)
class PredictionRequest:
    """One image, as a file or as the sha256 of a stored one, for some deployments or all that shall run."""

    image: bytes | None
    input_sha256: str | None
    deployments: tuple[str, ...]
    deadline_ms: int | None
    """None gives each deployment what its server has."""


@dataclass(frozen=True)
class _Plan:
    """What a call is going to do: whom to ask, with which body for each input's name, about which image."""

    targets: list[Target]
    requests: dict[str, bytes]
    image: images.DecodedImage | Input


async def predict_all(dependencies: Dependencies, request: PredictionRequest) -> bodies.Comparison:
    """Ask every deployment at once and record what they said.

    Deadlines count from here; a model that is late, dead or wrong is one error
    row. Raises Invalid, TooLarge, UnsupportedMedia for the image, NotFound for an unknown deployment
    or image, Conflict when nothing is deployed; then nothing is stored.
    """
    begin = asyncio.get_running_loop().time()
    plan = await run_in_threadpool(_prepare, dependencies, request)
    seconds = [_seconds(dependencies, request, target) for target in plan.targets]
    # The file is written and synced while the models compute; its row follows with the answers.
    _, outcomes = await asyncio.gather(
        run_in_threadpool(_store, dependencies, plan.image),
        asyncio.gather(
            *(
                _ask(dependencies, target, plan.requests, begin + limit)
                for target, limit in zip(plan.targets, seconds, strict=True)
            )
        ),
    )
    deadline_ms = round(1000 * max(seconds))
    return await run_in_threadpool(_record, dependencies, deadline_ms, plan.image, outcomes)


def show(session: Session, uid: UUID) -> bodies.RecordedPrediction:
    """One recorded prediction; raises NotFound."""
    row = session.scalar(select(Prediction).where(Prediction.uid == uid))
    if row is None:
        raise NotFound("prediction_unknown", f"There is no prediction {uid}.")
    return _recorded(row)


def list_page(
    session: Session,
    *,
    deployment: str | None,
    input_sha256: str | None,
    request_id: UUID | None,
    limit: int,
    before: int | None,
) -> bodies.PredictionPage:
    """The `limit` newest predictions that match, or those older than the cursor `before`; fewer when they are large."""
    query = select(Prediction)
    filters = {
        Prediction.deployment: deployment,
        Prediction.input_sha256: input_sha256,
        Prediction.request_uid: request_id,
    }
    for column, value in filters.items():
        if value is not None:
            query = query.where(column == value)
    total = session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    if before is not None:
        query = query.where(Prediction.id < before)
    large = (Prediction.probabilities, Prediction.lineage)
    rows, more = first_rows(session, query.order_by(Prediction.id.desc()), large, limit)
    items = [_recorded(row) for row in rows]
    return bodies.PredictionPage(items=items, total=total, next=str(rows[-1].id) if more else None)


def _prepare(dependencies: Dependencies, request: PredictionRequest) -> _Plan:
    """One short transaction that writes nothing, and what takes time with the image."""
    image: images.DecodedImage | Input | None = None
    if request.image is not None:
        image = images.decode(request.image)
    with dependencies.sessions() as session:
        targets = find_targets(session, request.deployments)
        image = image or session.get(Input, request.input_sha256)
    if image is None:
        raise NotFound("input_unknown", f"There is no input {request.input_sha256}. Send the file itself.")
    if isinstance(image, images.DecodedImage):
        charge(_COPIES * max(len(image.file), len(image.sent)))
        sent = image.sent
    else:
        charge(_COPIES * image.size)
        sent = images.shrink(dependencies.inputs.read(image.sha256))
    names = {target.image_input for target in targets if target.image_input}
    requests = {name: v2_client.image_request(name, sent) for name in names}
    return _Plan(targets, requests, image)


def _store(dependencies: Dependencies, image: images.DecodedImage | Input) -> None:
    """Nothing for an image that is stored already."""
    if isinstance(image, images.DecodedImage):
        images.store(dependencies.sessions, dependencies.inputs, image)


def _seconds(dependencies: Dependencies, request: PredictionRequest, target: Target) -> float:
    """How long a target is waited for."""
    if request.deadline_ms is not None:
        return request.deadline_ms / 1000
    return (target.response_seconds or dependencies.response_seconds) + WAY_SECONDS


async def _ask(dependencies: Dependencies, target: Target, requests: dict[str, bytes], end: float) -> Outcome:
    """Ask one target; whatever happens is an outcome, so that no model spoils the answers of the others."""
    start = time.perf_counter()
    result: ModelOutput | InferenceFailed
    try:
        if not target.running:
            raise InferenceFailed("deployment_stopped", "The deployment is stopped. Start it first.")
        if target.image_input is None:
            raise InferenceFailed("not_an_image_model", "The model does not take exactly one image.")
        result = await v2_client.infer(
            dependencies.pool,
            dependencies.serving_url.replace("{name}", target.name),
            target.name,
            requests[target.image_input],
            end=end,
        )
    except InferenceFailed as failure:
        result = failure
    except Exception as error:
        log.error("asking %s failed", target.name, exc_info=error)
        result = InferenceFailed("internal_error", "A fault of the metadata API; its log says more.")
    return Outcome(target, result, round((time.perf_counter() - start) * 1000, 3))


def _record(
    dependencies: Dependencies,
    deadline_ms: int,
    asked: images.DecodedImage | Input,
    outcomes: Sequence[Outcome],
) -> bodies.Comparison:
    """Write the image and all outcomes in one transaction; returns them as they are told."""
    uid = uuid4()
    encoded = encode(outcomes)
    with dependencies.sessions.begin() as session:
        image = images.lock(session, asked) if isinstance(asked, Input) else images.put(session, asked)
        results = record(session, uid, image.sha256, outcomes, encoded)
    shown = bodies.PredictedInput(
        sha256=image.sha256,
        kind=image.kind,
        media_type=image.media_type,
        size=image.size,
        summary={"width": image.width, "height": image.height},
        url=f"/v1/inputs/{image.sha256}",
    )
    return bodies.Comparison(
        id=uid, input=shown, deadline_ms=deadline_ms, results=results, agreement=agreement(results)
    )


def _recorded(row: Prediction) -> bodies.RecordedPrediction:
    error = ErrorBody(error=row.error, detail=row.error_detail or "") if row.error else None
    return bodies.RecordedPrediction(
        prediction_id=row.uid,
        deployment=row.deployment,
        alias=row.alias,
        experiment=row.lineage["experiment"],
        version=row.lineage["version"],
        status="ok" if row.status == "ok" else "error",
        kind=row.kind,
        label=row.label,
        probabilities=[bodies.Probability(**one) for one in row.probabilities] if row.probabilities else None,
        latency_ms=row.latency_ms,
        error=error,
        request_id=row.request_uid,
        input_sha256=row.input_sha256,
        source=row.source,
        lineage=row.lineage,
        created_at=row.created_at,
    )
