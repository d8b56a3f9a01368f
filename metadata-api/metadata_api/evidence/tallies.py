"""What is counted of judged answers, in one statement; called by `scores`."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from metadata_api.evidence import calibration
from metadata_api.evidence.judged import newest_answers


class Counted(NamedTuple):
    """So many answers of classes or texts of one deployment are alike; `truth` and `answer` are those of classes."""

    deployment: str
    chosen: str
    truth: str | None
    answer: str | None
    is_right: bool
    n: int


class NumberError(NamedTuple):
    """One answer that is a number, minus what is right."""

    label_id: int
    deployment: str
    chosen: str
    error: float


@dataclass
class Tally:
    """What the labels of a task say of one version."""

    counted: list[Counted] = field(default_factory=list)
    bins: list[calibration.Bin] = field(default_factory=list)
    errors: list[NumberError] = field(default_factory=list)
    right: set[int] = field(default_factory=set)
    """Labels that its answers agree with."""
    wrong: set[int] = field(default_factory=set)
    """Labels that they do not agree with; of numbers neither."""


def read(session: Session, task: str, version_ids: Collection[int]) -> dict[int, Tally]:
    """The tally of each version; empty for one that answered no labelled input."""
    judged = newest_answers(task, version_ids)
    parts = (_counted(judged.c), _bins(judged.c), _errors(judged.c), _agreeing(judged.c))
    # One statement, so that all is from one moment and the answers are gathered once.
    row = session.execute(select(*(part.scalar_subquery() for part in parts))).one()
    counted, bins, errors, agreeing = (found or [] for found in row)
    tallies: dict[int, Tally] = defaultdict(Tally)
    for version, *values in counted:
        tallies[version].counted.append(Counted(*values))
    for version, *values in bins:
        tallies[version].bins.append(calibration.Bin(*values))
    for version, *values in errors:
        tallies[version].errors.append(NumberError(*values))
    for version, right, wrong in agreeing:
        tallies[version].right, tallies[version].wrong = set(right or ()), set(wrong or ())
    return tallies


def _rows(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """All rows as one JSON array of arrays."""
    return func.json_agg(func.json_build_array(*columns))


def _counted(judged: Any) -> Select[Any]:
    key = (
        judged.version_id,
        judged.deployment,
        judged.chosen,
        case((judged.is_class, judged.truth)).label("truth"),
        case((judged.is_class, judged.answer)).label("answer"),
        judged.is_right,
    )
    grouped = (
        select(*key, func.count().label("n")).where(judged.is_right.is_not(None)).group_by(*key).subquery()
    )
    return select(_rows(list(grouped.c)))


def _bins(judged: Any) -> Select[Any]:
    confidence = func.least(1.0, func.greatest(0.0, judged.confidence))
    key = (judged.version_id, calibration.bin_of(confidence).label("at"))
    right = func.count().filter(judged.is_right)
    grouped = (
        select(*key, func.count().label("n"), func.avg(confidence).label("confidence"), right.label("right"))
        .where(judged.confidence.is_not(None), judged.is_right.is_not(None))
        .group_by(*key)
        .subquery()
    )
    return select(_rows(list(grouped.c)))


def _errors(judged: Any) -> Select[Any]:
    error = judged.answer_number - judged.truth_number
    columns = (judged.version_id, judged.label_id, judged.deployment, judged.chosen, error)
    return select(_rows(columns)).where(judged.truth_number.is_not(None))


def _agreeing(judged: Any) -> Select[Any]:
    agreeing = (
        func.json_agg(judged.label_id).filter(judged.is_right).label("right"),
        func.json_agg(judged.label_id).filter(judged.is_right.is_(False)).label("wrong"),
    )
    grouped = (
        select(judged.version_id, *agreeing)
        .where(judged.is_right.is_not(None))
        .group_by(judged.version_id)
        .subquery()
    )
    return select(_rows(list(grouped.c)))
