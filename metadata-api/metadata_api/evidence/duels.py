"""What two versions' answers to the same inputs say of them: pairs, classes, flips.

Called by `promotions`. Which of both is right is read by `scores`; here it is counted.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metadata_api.database.prediction_tables import Prediction
from metadata_api.evidence import eprocess
from metadata_api.evidence.eprocess import Counts
from metadata_api.evidence.scores import Pair
from metadata_api.predicting import stored_inputs
from metadata_api.schemas import policies as bodies

FLIPS = 100
# Newest answers by which latency and errors are judged.
ANSWERS = 1000


@dataclass(frozen=True)
class Answers:
    """The newest answers of a deployment at a version: 95th percentile of their latency, and the share of errors."""

    p95_ms: float | None
    error_share: float | None


def count(pairs: Sequence[Pair]) -> Counts:
    """`one_right` is the candidate's."""
    wins = sum(pair.one_right and not pair.other_right for pair in pairs)
    losses = sum(pair.other_right and not pair.one_right for pair in pairs)
    return Counts(wins, losses, len(pairs) - wins - losses)


def classes(pairs: Sequence[Pair]) -> list[bodies.ClassDuel]:
    """The pairs by what is right, worst for the candidate first; none where that is a number."""
    found: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if isinstance(pair.truth, str):
            found[pair.truth].append(pair)
    shown = [_class(label, mine) for label, mine in found.items()]
    return sorted(shown, key=lambda one: ((one.wins - one.losses) / one.labels, one.label))


def flips(session: Session, pairs: Sequence[Pair], *, better: bool) -> list[bodies.Flip]:
    """The newest labelled inputs on which the candidate alone is right, or the champion alone."""
    mine = [pair for pair in reversed(pairs) if pair.one_right is better and pair.other_right is not better]
    inputs = stored_inputs.named(session, (pair.input_sha256 for pair in mine[:FLIPS]))
    return [
        bodies.Flip(
            input_sha256=pair.input_sha256,
            input=inputs[pair.input_sha256],
            truth=pair.truth,
            chosen=pair.chosen,
        )
        for pair in mine[:FLIPS]
        if pair.input_sha256 in inputs
    ]


def steps(pairs: Sequence[Pair], margin: float) -> list[bodies.Step]:
    """The evidence after the labels, thinned out evenly where they are many."""
    path = eprocess.path(((pair.one_right, pair.other_right) for pair in pairs), margin)
    return [
        bodies.Step(labels=counts.labels, wins=counts.wins, losses=counts.losses, log_e=log_e)
        for counts, log_e in path
    ]


def answers(session: Session, deployment: str, experiment: str, version: int) -> Answers:
    """Of the newest answers of a deployment while it was to serve a version."""
    newest = (
        select(Prediction.latency_ms, Prediction.status)
        .where(
            Prediction.deployment == deployment,
            Prediction.lineage["experiment"].as_string() == experiment,
            Prediction.lineage["desired_version"].as_integer() == version,
            Prediction.status != "unanswered",
        )
        .order_by(Prediction.id.desc())
        .limit(ANSWERS)
        .subquery()
    )
    is_error = newest.c.status == "error"
    p95 = func.percentile_cont(0.95).within_group(newest.c.latency_ms).filter(~is_error)
    total, failed, latency = session.execute(
        select(func.count(), func.count().filter(is_error), p95).select_from(newest)
    ).one()
    return Answers(latency, failed / total if total else None)


def _class(label: str, pairs: Sequence[Pair]) -> bodies.ClassDuel:
    counts = count(pairs)
    return bodies.ClassDuel(
        label=label,
        labels=len(pairs),
        wins=counts.wins,
        losses=counts.losses,
        champion_accuracy=sum(pair.other_right for pair in pairs) / len(pairs),
        candidate_accuracy=sum(pair.one_right for pair in pairs) / len(pairs),
    )
