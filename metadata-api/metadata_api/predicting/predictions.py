"""Predictions: one input to many deployments at once, every answer or failure recorded before it is told.

Called by the route for predictions. No session is open while models are asked: read, close, ask, record. Who cannot
take the input is named, and neither asked nor recorded.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import insert
from starlette.concurrency import run_in_threadpool

from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.session import Sessions
from metadata_api.deploying.base import WAY_SECONDS
from metadata_api.errors import Invalid
from metadata_api.http_pool import HttpPool
from metadata_api.memory import charge
from metadata_api.predicting import inputs, stored_inputs, targets, v2_client
from metadata_api.predicting.agreement import agreements
from metadata_api.predicting.base import CannotTake, ParsedInput
from metadata_api.predicting.results import Judged, Outcome, judge, rows_of
from metadata_api.predicting.targets import Selection, Target
from metadata_api.predicting.v2_client import InferenceFailed, ModelOutput, ModelRequest
from metadata_api.schemas import predictions as bodies
from metadata_api.storage.base import ObjectStore

# Of an input: its bytes, its tensors, and what is sent.
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
    """One input, itself or as the sha256 of a stored one, and whom to ask."""

    kind: str
    """A name of `inputs.kinds()`; empty with a sha256."""
    value: Any
    input_sha256: str | None
    selection: Selection
    deadline_ms: int | None
    """None gives each deployment what its server has."""
    source: str = "api"
    asked_by: str = ""
    """The verified caller; empty when nobody asked, as in a replay."""


@dataclass(frozen=True)
class _Asked:
    """A target, and what it is sent."""

    target: Target
    request: ModelRequest
    seconds: float
    """How long it is waited for."""


@dataclass
class _Plan:
    """What a call is going to do."""

    row: Input
    parsed: ParsedInput | None
    """None for an input that is stored already."""
    asked: list[_Asked]
    not_asked: list[bodies.NotAsked]


async def predict_all(dependencies: Dependencies, request: PredictionRequest) -> bodies.Comparison:
    """Ask every deployment that can take the input at once and record what they said.

    Deadlines count from here; a model that is late, dead or wrong is one error row. Raises Invalid, TooLarge,
    UnsupportedMedia for the input, NotFound for an unknown name or input, Forbidden for an alias, Conflict when nothing
    is deployed; then nothing is stored. Where no deployment can take the input nothing is stored either.
    """
    begin = asyncio.get_running_loop().time()
    plan = await run_in_threadpool(_prepare, dependencies, request)
    if not plan.asked:
        return _told(request, plan, [])
    # The bytes are written and synced while the models compute; their row follows with the answers.
    _, outcomes = await asyncio.gather(
        run_in_threadpool(_store, dependencies, plan.parsed),
        asyncio.gather(*(_ask(dependencies, one, begin + one.seconds) for one in plan.asked)),
    )
    return await run_in_threadpool(_record, dependencies, request, plan, outcomes)


def _prepare(dependencies: Dependencies, request: PredictionRequest) -> _Plan:
    """One short transaction that writes nothing, and what takes time with the input."""
    parsed = None if request.input_sha256 else inputs.kinds()[request.kind].parse(request.value)
    with dependencies.sessions() as session:
        found = targets.find(session, request.selection)
        stored = session.get(Input, request.input_sha256) if request.input_sha256 else None
        if parsed is not None:
            stored_inputs.require_kind(session, parsed)
    row = stored or (stored_inputs.row_of(parsed) if parsed else None)
    if row is None:
        raise stored_inputs.unknown(str(request.input_sha256))
    charge(_COPIES * row.size)
    kind = inputs.kinds()[row.kind]
    content = parsed.content if parsed else kind.load(dependencies.inputs.read(row.sha256))
    plan = _Plan(row, parsed, [], found.not_asked)
    _choose(plan, found.targets, content, dependencies, request)
    return plan


def _choose(
    plan: _Plan, found: Sequence[Target], content: Any, dependencies: Dependencies, request: PredictionRequest
) -> None:
    """Who is asked, and what they are sent; raises Invalid when all that is wrong is the input."""
    kind = inputs.kinds()[plan.row.kind]
    # Models that take the same get the same bytes, which are made once.
    made: dict[str, ModelRequest] = {}
    nearest: CannotTake | None = None
    for target in found:
        taken = target.desired.interface.inputs
        key = repr(taken)
        try:
            if key not in made:
                made[key] = v2_client.build_request(kind.tensors(content, taken))
        except CannotTake as reason:
            plan.not_asked.append(target.not_asked(reason.code, reason.detail))
            if reason.distance and (nearest is None or reason.distance < nearest.distance):
                nearest = reason
            continue
        plan.asked.append(_Asked(target, made[key], _seconds(dependencies, request, target)))
    if nearest and not plan.asked:
        raise Invalid(nearest.code, f"No model takes the {plan.row.kind}. The nearest says: {nearest.detail}")


def _seconds(dependencies: Dependencies, request: PredictionRequest, target: Target) -> float:
    """How long a target is waited for."""
    if request.deadline_ms is not None:
        return request.deadline_ms / 1000
    return (target.response_seconds or dependencies.response_seconds) + WAY_SECONDS


def _store(dependencies: Dependencies, parsed: ParsedInput | None) -> None:
    """Nothing for an input that is stored already."""
    if parsed is not None:
        stored_inputs.store(dependencies.sessions, dependencies.inputs, parsed)


async def _ask(dependencies: Dependencies, asked: _Asked, end: float) -> Outcome:
    """Ask one target; whatever happens is an outcome, so that no model spoils the answers of the others."""
    start = time.perf_counter()
    target = asked.target
    result: ModelOutput | InferenceFailed
    try:
        url = dependencies.serving_url.replace("{name}", target.name)
        result = await v2_client.infer(
            dependencies.pool, url, target.name, target.version, asked.request, end=end
        )
    except InferenceFailed as failure:
        result = failure
    except Exception as error:
        log.error("asking %s failed", target.name, exc_info=error)
        result = InferenceFailed("internal_error", "A fault of the metadata API; its log says more.")
    return Outcome(target, result, round((time.perf_counter() - start) * 1000, 3))


def _record(
    dependencies: Dependencies, request: PredictionRequest, plan: _Plan, outcomes: Sequence[Outcome]
) -> bodies.Comparison:
    """Write the input and all outcomes in one transaction; returns them as they are told."""
    judged = judge(dependencies.sessions, outcomes)
    told = _told(request, plan, judged)
    rows = rows_of(told.id, plan.row.sha256, request.source, judged)
    if request.asked_by:
        rows = [row | {"lineage": row["lineage"] | {"asked_by": request.asked_by}} for row in rows]
    with dependencies.sessions.begin() as session:
        if plan.parsed is None:
            stored_inputs.lock(session, plan.row)
        else:
            stored_inputs.put(session, plan.row)
        session.execute(insert(Prediction), rows)
    return told


def _told(request: PredictionRequest, plan: _Plan, judged: Sequence[Judged]) -> bodies.Comparison:
    results = [one.result for one in judged]
    seconds = max((one.seconds for one in plan.asked), default=(request.deadline_ms or 0) / 1000)
    is_stored = plan.parsed is None or bool(plan.asked)
    return bodies.Comparison(
        id=uuid4(),
        input=stored_inputs.shown(plan.row, is_stored=is_stored),
        deadline_ms=round(1000 * seconds),
        results=results,
        not_asked=plan.not_asked,
        agreements=agreements(results),
    )
