"""What asking models came to: judged, recorded in one go, and shaped for the answer; called by `predictions`."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, tuple_

from metadata_api.database.session import Sessions
from metadata_api.database.tables import ModelVersion
from metadata_api.errors import ErrorBody
from metadata_api.predicting import answers
from metadata_api.predicting.agreement import disagreeing
from metadata_api.predicting.base import Answer, Outputs
from metadata_api.predicting.preprocessed import PreprocessedImages
from metadata_api.predicting.targets import VERSION_COLUMNS, AnsweringVersion, Target, version_of
from metadata_api.predicting.v2_client import InferenceFailed, ModelOutput
from metadata_api.schemas import predictions as bodies

Row = dict[str, Any]
Versions = dict[tuple[int, str], AnsweringVersion]
Lineage = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What asking one target came to."""

    target: Target
    result: ModelOutput | InferenceFailed
    latency_ms: float


@dataclass(frozen=True)
class Judged:
    """An outcome as it is told, and what is recorded beside it."""

    result: bodies.Result
    version: AnsweringVersion | None
    lineage: Lineage


def judge(sessions: Sessions, outcomes: Sequence[Outcome]) -> list[Judged]:
    """Read every answer as its version gives it, and show what each model saw. Takes time: no session is open for it.

    The version is the one that the answer names, whichever is the desired one now. An answer that fits no registered
    version is an error, because its version would be unknown.
    """
    said = {
        (one.target.experiment_id, one.result.model_version)
        for one in outcomes
        if isinstance(one.result, ModelOutput)
    }
    versions = answering_versions(sessions, (one.target for one in outcomes), said)
    shown = PreprocessedImages()
    return [_judged(outcome, versions, shown) for outcome in outcomes]


UNANSWERED = "unanswered"
# The columns of what models answer.
_OF_ANSWERS = ("label", "probabilities", "answer", "latency_ms", "error", "error_detail")


def unanswered_row(
    uid: UUID, request_uid: UUID, input_sha256: str, source: str, target: Target, version: AnsweringVersion
) -> Row:
    """The row of a prediction whose answer is not known yet."""
    return {
        "uid": uid,
        "request_uid": request_uid,
        "input_sha256": input_sha256,
        "source": source,
        "deployment": target.name,
        "alias": target.alias,
        "version_id": version.id,
        "status": UNANSWERED,
        "kind": version.answer_kind,
        "lineage": lineage_of(target, version, None),
        "disagrees": False,
        **dict.fromkeys(_OF_ANSWERS),
    }


def rows_of(request_uid: UUID, input_sha256: str, source: str, judged: Sequence[Judged]) -> list[Row]:
    """The rows of predictions that record every outcome. Takes time: no session is open for it either."""
    differ = disagreeing(one.result for one in judged)
    return [
        {
            "uid": one.result.prediction_id,
            "request_uid": request_uid,
            "input_sha256": input_sha256,
            "source": source,
            "version_id": one.version.id if one.version else None,
            "probabilities": [item.model_dump() for item in one.result.probabilities or ()] or None,
            "answer": _answer_row(one.result),
            "error": one.result.error.error if one.result.error else None,
            "error_detail": one.result.error.detail if one.result.error else None,
            "lineage": one.lineage,
            "disagrees": one.result.prediction_id in differ,
            **one.result.model_dump(include={"deployment", "alias", "status", "kind", "label", "latency_ms"}),
        }
        for one in judged
    ]


# What is recorded of an answer beside label and probabilities, which have columns.
ANSWER_FIELDS = {"number", "unit", "text", "boxes", "tensors"}


def _answer_row(result: bodies.Result) -> dict[str, Any] | None:
    return result.model_dump(include=ANSWER_FIELDS, exclude_none=True, mode="json") or None


def answering_versions(
    sessions: Sessions, targets: Iterable[Target], said: Collection[tuple[int, str]]
) -> Versions:
    """The versions with these experiments and numbers, as far as there are any, and those desired of the targets."""
    known = {(one.experiment_id, str(one.desired.number)): one.desired for one in targets}
    numbers = [
        (experiment_id, int(number))
        for experiment_id, number in set(said) - known.keys()
        if number.isascii() and number.isdecimal() and len(number) < 10
    ]
    if numbers:
        others = tuple_(ModelVersion.experiment_id, ModelVersion.number).in_(numbers)
        query = select(ModelVersion.experiment_id, *VERSION_COLUMNS).where(others)
        with sessions() as session:
            for row in session.execute(query):
                known[row.experiment_id, str(row.number)] = version_of(row)
    return known


def _judged(outcome: Outcome, versions: Versions, shown: PreprocessedImages) -> Judged:
    version, said = _checked(outcome, versions)
    target, answered = outcome.target, outcome.result
    named = answered.model_version if isinstance(answered, ModelOutput) else None
    lineage = lineage_of(target, version, named)
    failed = isinstance(said, InferenceFailed)
    answer = Answer((version or target.desired).answer_kind) if isinstance(said, InferenceFailed) else said
    output = outcome.result if isinstance(outcome.result, ModelOutput) and not failed else None
    result = bodies.Result(
        prediction_id=uuid4(),
        deployment=target.name,
        alias=target.alias,
        experiment=target.experiment,
        task=(version or target.desired).interface.task,
        version=version.number if version else None,
        status="error" if failed else "ok",
        kind=answer.kind,
        label=answer.label,
        probabilities=_probabilities(answer),
        number=answer.number,
        unit=answer.unit,
        text=answer.text,
        boxes=None if answer.boxes is None else [bodies.Box(**vars(box)) for box in answer.boxes],
        tensors=None if answer.tensors is None else [bodies.AnsweredTensor(**one) for one in answer.tensors],
        latency_ms=outcome.latency_ms,
        cold=not target.ready,
        preprocessed=shown.png(output.preprocessed) if output else None,
        warning=output.warning if output else None,
        error=ErrorBody(error=said.code, detail=said.detail) if isinstance(said, InferenceFailed) else None,
    )
    return Judged(result, version, lineage)


def _checked(
    outcome: Outcome, versions: Versions
) -> tuple[AnsweringVersion | None, Answer | InferenceFailed]:
    """The version that answered, and its answer if it fits that version."""
    said = outcome.result
    if isinstance(said, InferenceFailed):
        return None, said
    version = versions.get((outcome.target.experiment_id, said.model_version))
    if version is None:
        return None, InferenceFailed("bad_answer", "The answer names a version that is not registered.")
    taken = version.interface
    try:
        return version, answers.read(Outputs(taken.outputs, taken.labels, said.outputs))
    except ValueError as error:
        return version, InferenceFailed("bad_answer", f"The model's answer cannot be read: {error}"[:500])
    except Exception as error:
        # Foreign code wrote the answer: whatever is in it must not take away those of the other models.
        log.error("the answer of %s cannot be read", outcome.target.name, exc_info=error)
        return version, InferenceFailed("bad_answer", "The model's answer cannot be read.")


def _probabilities(answer: Answer) -> list[bodies.Probability] | None:
    if answer.probabilities is None:
        return None
    return [bodies.Probability(label=label, probability=value) for label, value in answer.probabilities]


def lineage_of(target: Target, version: AnsweringVersion | None, model_version: str | None) -> Lineage:
    """Where an answer came from, for readers long after the deployment has changed or gone.

    `model_version` is the one that the answer named.
    """
    return {
        "experiment": target.experiment,
        "desired_version": target.desired.number,
        "version": version.number if version else None,
        "mar_sha256": version.sha256 if version else None,
        "runtime": target.runtime,
        "model_version": model_version,
        "alias_event": target.alias_event,
        "deployment_event": target.deployment_event,
    }
