"""What asking models came to: judged, recorded in one go, and shaped for the answer; called by `predictions`."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from PIL import Image as Pillow
from sqlalchemy import insert, select, tuple_
from sqlalchemy.orm import Session

from metadata_api.database.tables import ModelVersion, Prediction
from metadata_api.errors import ErrorBody
from metadata_api.predicting.targets import VERSION_COLUMNS, AnsweringVersion, Target
from metadata_api.predicting.v2_client import PREPROCESSED_SIDE, InferenceFailed, ModelOutput
from metadata_api.schemas import predictions as bodies

Versions = dict[tuple[int, str], AnsweringVersion]


@dataclass(frozen=True)
class Outcome:
    """What asking one target came to."""

    target: Target
    result: ModelOutput | InferenceFailed
    latency_ms: float


def encode(outcomes: Sequence[Outcome]) -> list[str | None]:
    """What each model saw as a PNG in base64, None where it did not say; takes time, so never in a session."""
    return [
        _png(one.result.preprocessed)
        if isinstance(one.result, ModelOutput) and one.result.preprocessed
        else None
        for one in outcomes
    ]


def record(
    session: Session,
    request_uid: UUID,
    input_sha256: str,
    outcomes: Sequence[Outcome],
    encoded: Sequence[str | None],
) -> list[bodies.Result]:
    """Write every outcome as a prediction, in one statement; returns them as they are told, in order.

    `encoded` are the images of `encode`.

    The version recorded is the one that the answer names, whichever is the desired one now. An answer that
    fits no registered version is an error row, because its version would be unknown.
    """
    versions = _answering_versions(session, outcomes)
    results, rows = [], []
    for outcome, preprocessed in zip(outcomes, encoded, strict=True):
        version, answer = _checked(outcome, versions)
        result = _result(outcome, version, answer, preprocessed)
        results.append(result)
        lineage = _lineage(outcome, version)
        rows.append(
            {
                "uid": result.prediction_id,
                "request_uid": request_uid,
                "input_sha256": input_sha256,
                "deployment": result.deployment,
                "version_id": version.id if version else None,
                "source": "api",
                "status": result.status,
                "kind": "probabilities",
                "label": result.label,
                "probabilities": [one.model_dump() for one in result.probabilities or ()] or None,
                "latency_ms": result.latency_ms,
                "error": result.error.error if result.error else None,
                "error_detail": result.error.detail if result.error else None,
                "lineage": lineage,
            }
        )
    session.execute(insert(Prediction), rows)
    return results


def agreement(results: Sequence[bodies.Result]) -> bodies.Agreement:
    """How the answers that are ok voted; two labels with the most votes are no agreement."""
    labels = Counter(result.label for result in results if result.status == "ok")
    best = labels.most_common(2)
    if not best:
        return bodies.Agreement(label=None, votes=0, of=0, unanimous=False)
    label, votes = best[0]
    if len(best) == 2 and best[1][1] == votes:
        label = None
    return bodies.Agreement(label=label, votes=votes, of=labels.total(), unanimous=len(labels) == 1)


def _answering_versions(session: Session, outcomes: Sequence[Outcome]) -> Versions:
    """Every version that answered, by experiment and number: mostly those desired, which are known already."""
    known = {
        (one.target.experiment_id, str(one.target.desired.number)): one.target.desired for one in outcomes
    }
    answered = {
        (one.target.experiment_id, one.result.model_version)
        for one in outcomes
        if isinstance(one.result, ModelOutput)
    }
    numbers = [
        (experiment_id, int(number))
        for experiment_id, number in answered - known.keys()
        if number.isascii() and number.isdecimal() and len(number) < 10
    ]
    if numbers:
        others = tuple_(ModelVersion.experiment_id, ModelVersion.number).in_(numbers)
        query = select(ModelVersion.experiment_id, *VERSION_COLUMNS).where(others)
        for row in session.execute(query):
            version = AnsweringVersion(row.id, row.number, row.sha256, row.labels)
            known[row.experiment_id, str(row.number)] = version
    return known


def _checked(
    outcome: Outcome, versions: Versions
) -> tuple[AnsweringVersion | None, ModelOutput | InferenceFailed]:
    """The version that answered, and its answer if it fits that version."""
    answer = outcome.result
    if isinstance(answer, InferenceFailed):
        return None, answer
    version = versions.get((outcome.target.experiment_id, answer.model_version))
    if version is None:
        return None, InferenceFailed("bad_answer", "The answer names a version that is not registered.")
    said, expected = len(answer.probabilities), len(version.labels)
    if said != expected:
        detail = f"The model answered {said} probabilities and has {expected} labels."
        return version, InferenceFailed("bad_answer", detail)
    return version, answer


def _result(
    outcome: Outcome,
    version: AnsweringVersion | None,
    answer: ModelOutput | InferenceFailed,
    preprocessed: str | None,
) -> bodies.Result:
    label, ranked, error = None, None, None
    if isinstance(answer, InferenceFailed):
        error = ErrorBody(error=answer.code, detail=answer.detail)
    elif version is not None:
        ranked = _ranked(version.labels, answer.probabilities)
        label = answer.label or ranked[0].label
    return bodies.Result(
        prediction_id=uuid4(),
        deployment=outcome.target.name,
        alias=None,
        experiment=outcome.target.experiment,
        version=version.number if version else None,
        status="error" if error else "ok",
        kind="probabilities",
        label=label,
        probabilities=ranked,
        latency_ms=outcome.latency_ms,
        preprocessed=None if error else preprocessed,
        warning=answer.warning if isinstance(answer, ModelOutput) else None,
        error=error,
    )


def _lineage(outcome: Outcome, version: AnsweringVersion | None) -> dict[str, Any]:
    """Where an answer came from, for readers long after the deployment has changed or gone."""
    answer = outcome.result
    return {
        "experiment": outcome.target.experiment,
        "desired_version": outcome.target.desired.number,
        "version": version.number if version else None,
        "mar_sha256": version.sha256 if version else None,
        "runtime": outcome.target.runtime,
        "model_version": answer.model_version if isinstance(answer, ModelOutput) else None,
    }


def _ranked(labels: Sequence[str], probabilities: Sequence[float]) -> list[bodies.Probability]:
    pairs = sorted(zip(labels, probabilities, strict=True), key=lambda pair: -pair[1])
    return [bodies.Probability(label=label, probability=probability) for label, probability in pairs]


def _png(preprocessed: bytes) -> str:
    """What a model saw as a grey PNG in base64."""
    file = io.BytesIO()
    Pillow.frombytes("L", (PREPROCESSED_SIDE, PREPROCESSED_SIDE), preprocessed).save(
        file, "PNG", compress_level=1
    )
    return base64.b64encode(file.getvalue()).decode()
