"""Answers beside the labels that judge them; called by `scores` and `tallies`."""

from collections.abc import Collection

from sqlalchemy import CTE, case, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from metadata_api.database.evidence_tables import Label
from metadata_api.database.prediction_tables import Prediction
from metadata_api.evidence.answered import said_text


def newest_answers(task: str, version_ids: Collection[int]) -> CTE:
    """The newest answer of each version to each input with a current label.

    Columns: version_id, input_sha256, deployment, label_id, labelled_at, chosen, is_class, truth and answer (class or
    text), truth_number, answer_number, is_right (null for a number), confidence (null where none is said).
    Where a number is right, an answer without one is left out.
    """
    number = Prediction.answer["number"].as_float()
    answer = case((Label.label.is_not(None), Prediction.label), else_=said_text())
    truth = func.coalesce(Label.label, Label.text)
    first = Prediction.probabilities[0]
    confidence = case((first["label"].as_string() == Prediction.label, first["probability"].as_float()))
    return (
        select(
            Prediction.version_id,
            Prediction.input_sha256,
            Prediction.deployment,
            Label.id.label("label_id"),
            Label.created_at.label("labelled_at"),
            Label.chosen,
            Label.label.is_not(None).label("is_class"),
            truth.label("truth"),
            answer.label("answer"),
            Label.number.label("truth_number"),
            number.label("answer_number"),
            case((Label.number.is_(None), func.coalesce(answer == truth, False))).label("is_right"),
            confidence.label("confidence"),
        )
        .join(Label, Label.input_sha256 == Prediction.input_sha256)
        .where(Label.task == task, Label.superseded_at.is_(None))
        .where(Prediction.version_id.in_(version_ids), Prediction.status == "ok")
        .where(Label.number.is_(None) | number.is_not(None))
        .ext(distinct_on(Prediction.version_id, Label.id))
        .order_by(Prediction.version_id, Label.id, Prediction.id.desc())
        .cte("judged")
    )
