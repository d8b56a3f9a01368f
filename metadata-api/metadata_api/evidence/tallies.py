"""What is counted of judged answers, in one statement; called by `scores`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import Session

from metadata_api.evidence import calibration
from metadata_api.evidence.judged import newest_answers

# While one statement gathers and counts 100,000 answers it needs no disk, and uses all cores: by itself, the server has
# one of them gather so many rows.
_SETTINGS = {"work_mem": "64MB", "parallel_setup_cost": "10", "parallel_tuple_cost": "0.001"}


class Counted(NamedTuple):
    """So many answers of classes or texts of one deployment are alike; `truth` and `answer` are those of classes."""

    deployment: str
    chosen: str
    truth: str | None
    answer: str | None
    is_right: bool
    bin: int | None
    """Of the confidence; None for answers that say none."""
    n: int
    confidence: float | None
    """The sum of theirs."""


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
    errors: list[NumberError] = field(default_factory=list)
    right: int = 0
    """The labels that its answers agree with: one bit for each, the same in every tally that was read together."""
    wrong: int = 0
    """Those that they do not agree with; a number is neither."""


def read(session: Session, task: str, version_ids: Collection[int]) -> dict[int, Tally]:
    """The tally of each version; empty for one that answered no labelled input."""
    session.execute(select(*(func.set_config(name, value, True) for name, value in _SETTINGS.items())))
    judged = newest_answers(task, version_ids)
    # One statement, so that all is from one moment and the answers are gathered once.
    parts = (_counted(judged.c), _of_versions(judged.c))
    counted, of_versions = session.execute(select(*(part.scalar_subquery() for part in parts))).one()
    tallies: dict[int, Tally] = {}
    places: dict[int, int] = {}
    for version, right, wrong, errors in of_versions or ():
        named = [NumberError(*error) for error in errors or ()]
        tallies[version] = Tally([], named, *(_bits(labels or (), places) for labels in (right, wrong)))
    for version, *values in counted or ():
        tallies[version].counted.append(Counted(*values))
    return tallies


def _bits(labels: Sequence[int], places: dict[int, int]) -> int:
    """A number with a bit at the place of each label; a new label gets the next place, eight bits after the last."""
    at = [places.setdefault(label, len(places)) for label in labels]
    bits = bytearray(len(places))
    for place in at:
        bits[place] = 1
    return int.from_bytes(bits, "little")


def _rows(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    """All rows as one JSON array of arrays."""
    return func.json_agg(func.json_build_array(*columns))


def _counted(judged: Any) -> Select[Any]:
    confidence = func.least(1.0, func.greatest(0.0, judged.confidence))
    sure = judged.confidence.is_not(None)
    key = (
        judged.version_id,
        judged.deployment,
        judged.chosen,
        case((judged.is_class, judged.truth)).label("truth"),
        case((judged.is_class, judged.answer)).label("answer"),
        judged.is_right,
        case((sure, calibration.bin_of(confidence))).label("bin"),
    )
    sums = (func.count().label("n"), func.sum(case((sure, confidence))).label("confidence"))
    grouped = select(*key, *sums).where(judged.is_right.is_not(None)).group_by(*key).subquery()
    return select(_rows(list(grouped.c)))


def _of_versions(judged: Any) -> Select[Any]:
    error = judged.answer_number - judged.truth_number
    named = func.json_build_array(judged.label_id, judged.deployment, judged.chosen, error)
    lists = (
        func.json_agg(judged.label_id).filter(judged.is_right).label("right"),
        func.json_agg(judged.label_id).filter(judged.is_right.is_(False)).label("wrong"),
        func.json_agg(named).filter(judged.truth_number.is_not(None)).label("errors"),
    )
    grouped = select(judged.version_id, *lists).group_by(judged.version_id).subquery()
    return select(_rows(list(grouped.c)))
