"""What versions say of inputs, labelled or not; called by `duels` and `queue`, which compare it."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from metadata_api.database.prediction_tables import Prediction

# As str.strip() takes them, by which labels are stored: btrim alone takes spaces only. The last is U+3000.
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))


def said_text() -> ColumnElement[str]:
    """The text of an answer without blanks at both ends; null where it is none."""
    return func.btrim(Prediction.answer["text"].as_string(), _BLANKS)


def is_ok(version_ids: Collection[int]) -> ColumnElement[bool]:
    """Whether a prediction is an answer of one of these versions."""
    return Prediction.version_id.in_(version_ids) & (Prediction.status == "ok")


def newest(version_ids: Collection[int], *more: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    """The newest answer of each version to each input.

    Columns: version_id, input_sha256, said (the class, the number, or the text without blanks around it), and `more`.
    """
    said = func.coalesce(
        Prediction.label,
        Prediction.answer["number"].as_string(),
        said_text(),
    )
    return (
        select(Prediction.version_id, Prediction.input_sha256, said.label("said"), *more)
        .where(is_ok(version_ids))
        .ext(distinct_on(Prediction.version_id, Prediction.input_sha256))
        .order_by(Prediction.version_id, Prediction.input_sha256, Prediction.id.desc())
    )
