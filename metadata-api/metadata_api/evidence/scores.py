"""Scores: what the current labels say of the answers of versions.

One label scores every version that answered its input, whenever that was and however it was asked: the newest answer
of each version to each input counts.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api.evidence.judged import newest_answers


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions' answers to one labelled input.

    Of classes and texts an answer is right when it is what the label says. Of numbers the nearer one is right, and both
    are when they are equally near.
    """

    input_sha256: str
    chosen: str
    """How the input was chosen to be labelled: random, queue or other."""
    truth: str | float
    one_right: bool
    other_right: bool
    labelled_at: datetime


def paired(session: Session, task: str, one_version_id: int, other_version_id: int) -> list[Pair]:
    """The labelled inputs that both versions answered, in the order in which they were labelled."""
    both = newest_answers(task, (one_version_id, other_version_id))
    one, other = both.alias("one"), both.alias("other")
    query = (
        select(one.c.input_sha256, one.c.chosen, one.c.truth, one.c.truth_number, one.c.labelled_at)
        .add_columns(one.c.is_right.label("one_right"), other.c.is_right.label("other_right"))
        .add_columns(one.c.answer_number.label("one_number"), other.c.answer_number.label("other_number"))
        .join(other, one.c.input_sha256 == other.c.input_sha256)
        .where(one.c.version_id == one_version_id, other.c.version_id == other_version_id)
        .order_by(one.c.labelled_at, one.c.label_id)
    )
    found = []
    for row in session.execute(query):
        truth, right = row.truth, (row.one_right, row.other_right)
        if row.truth_number is not None:
            truth = row.truth_number
            one_off, other_off = (abs(number - truth) for number in (row.one_number, row.other_number))
            right = (one_off <= other_off, other_off <= one_off)
        found.append(Pair(row.input_sha256, row.chosen, truth, *right, row.labelled_at))
    return found
