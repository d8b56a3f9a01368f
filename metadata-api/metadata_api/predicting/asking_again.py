"""A recorded prediction asked again: the same input, the same version, and in what the answers differ.

Called by the route for it. The new answer is a prediction like any other, by the name of the deployment that gave it.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.errors import Conflict, Forbidden
from metadata_api.predicting import predictions, recorded
from metadata_api.predicting.predictions import Dependencies, PredictionRequest
from metadata_api.predicting.targets import Selection
from metadata_api.schemas import predictions as bodies

COMPARED = ("status", "version", "kind", "label", "number", "unit", "text", "boxes", "tensors", "error")
# Sums of floats in another order differ by as much.
TOLERANCE = 1e-6


async def ask(
    dependencies: Dependencies, uid: UUID, allowed: Collection[str] | None, asked_by: str
) -> bodies.AskedAgain:
    """Ask a running deployment of the same version; `allowed` are those that the caller may use, None for all.

    Raises NotFound for an unknown prediction, Conflict when no deployment serves the version or it cannot take the
    input any more, Forbidden when only others than the allowed ones do.
    """
    before, deployment = await run_in_threadpool(_prepare, dependencies, uid, allowed)
    request = PredictionRequest(
        "", None, before.input_sha256, Selection([deployment]), None, asked_by=asked_by
    )
    told = await predictions.predict_all(dependencies, request)
    if not told.results:
        raise Conflict("not_asked_again", told.not_asked[0].detail)
    after = told.results[0]
    differences = list(_differences(before, after))
    # Without what is not recorded: the input as the model got it, and its warning.
    answer = bodies.Prediction.model_validate(after.model_dump(include=set(bodies.Prediction.model_fields)))
    return bodies.AskedAgain(before=before, after=answer, same=not differences, differences=differences)


def _prepare(
    dependencies: Dependencies, uid: UUID, allowed: Collection[str] | None
) -> tuple[bodies.RecordedPrediction, str]:
    """The prediction, and who can be asked again."""
    with dependencies.sessions() as session:
        before = recorded.show(session, uid)
        return before, _deployment(session, before, allowed)


def _deployment(session: Session, before: bodies.RecordedPrediction, allowed: Collection[str] | None) -> str:
    """A running deployment of the version; that of the same name if it still serves it."""
    # Of one that failed, the version that should have answered.
    number = before.version or before.lineage["desired_version"]
    query = (
        select(Deployment.name)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .where(Experiment.name == before.experiment, ModelVersion.number == number)
        .where(Deployment.desired == "running")
        .order_by(Deployment.name != before.deployment, Deployment.name)
    )
    names = session.scalars(query).all()
    if not names:
        raise Conflict(
            "version_not_served",
            f"No running deployment serves version {number} of {before.experiment}. "
            "Deploy or start it first.",
        )
    found = next((name for name in names if allowed is None or name in allowed), None)
    if found is None:
        raise Forbidden(
            "forbidden", f"Your token is limited to other deployments than {', '.join(names[:10])}."
        )
    return found


def _differences(before: bodies.Prediction, after: bodies.Prediction) -> Iterator[bodies.Difference]:
    for field in COMPARED:
        old, new = _plain(getattr(before, field)), _plain(getattr(after, field))
        if not _equal(old, new):
            yield bodies.Difference(field=field, before=old, after=new)
    old, new = _by_label(before), _by_label(after)
    for label in sorted(old.keys() | new.keys()):
        if not _equal(old.get(label), new.get(label)):
            yield bodies.Difference(
                field=f"probabilities.{label}", before=old.get(label), after=new.get(label)
            )


def _by_label(one: bodies.Prediction) -> dict[str, float]:
    return {item.label: item.probability for item in one.probabilities or ()}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_equal, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_equal(old[key], new[key]) for key in old)
    return bool(old == new)
