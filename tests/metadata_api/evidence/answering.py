"""Rows for tests of evidence: versions of a task, inputs, and what versions answered, as they are recorded."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.tables import Experiment, ModelVersion
from tests.metadata_api.making import LABELS, make_experiment, make_version

NUMBER = [{"name": "price", "datatype": "FP32", "shape": [-1, 1], "kind": "number", "unit": "EUR"}]
TEXT = [{"name": "language", "datatype": "BYTES", "shape": [-1, 1], "kind": "text"}]
BOXES = [{"name": "boxes", "datatype": "BYTES", "shape": [-1, 1], "kind": "boxes"}]
PROBABILITIES = [
    {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(LABELS)], "kind": "probabilities"}
]


def sha(number: int) -> str:
    """The sha256 of an input of a test."""
    return f"{number:064x}"


def versions_of_task(
    engine: Engine,
    task: str,
    *,
    count: int = 1,
    outputs: list[dict[str, Any]] = PROBABILITIES,
    labels: list[str] = LABELS,
    experiment: str = "",
) -> list[int]:
    """The ids of new versions of an experiment, by default one called like the task."""
    name = experiment or task
    with Session(engine) as session:
        known = session.scalar(select(Experiment).where(Experiment.name == name))
    if known is None:
        make_experiment(engine, name)
    with Session(engine) as session, session.begin():
        mine = select(ModelVersion.number).join(Experiment).where(Experiment.name == name)
        first = len(session.scalars(mine).all()) + 1
    for number in range(first, first + count):
        make_version(engine, number, experiment=name, outputs=outputs, labels=labels)
    with Session(engine) as session, session.begin():
        rows = session.scalars(
            select(ModelVersion)
            .join(Experiment)
            .where(Experiment.name == name, ModelVersion.number >= first)
            .order_by(ModelVersion.number)
        ).all()
        for row in rows:
            row.task = task
        return [row.id for row in rows]


def inputs(engine: Engine, numbers: Iterable[int]) -> None:
    """Inputs with the digests of these numbers."""
    rows = [
        {"sha256": sha(number), "kind": "image", "media_type": "image/png", "size": 1} for number in numbers
    ]
    with Session(engine) as session, session.begin():
        session.execute(insert(Input), rows)


def answered(version_id: int | None, at: int, *, deployment: str = "digits", **answer: Any) -> dict[str, Any]:
    """The row of a prediction: `label`, `confidence` of it, `second` as the next best's, `number`, `text`, `status`."""
    label, confidence = answer.get("label"), answer.get("confidence")
    probabilities = None
    if confidence is not None:
        second = answer.get("second", 0.0)
        probabilities = [
            {"label": label, "probability": confidence},
            {"label": "other", "probability": second},
        ]
    kept = {key: answer[key] for key in ("number", "text") if key in answer}
    return {
        "uid": uuid4(),
        "request_uid": uuid4(),
        "input_sha256": sha(at),
        "deployment": deployment,
        "alias": answer.get("alias"),
        "source": "api",
        "version_id": version_id,
        "status": answer.get("status", "ok"),
        "kind": "probabilities" if probabilities else "number" if "number" in kept else "label",
        "label": label,
        "probabilities": probabilities,
        "answer": kept or None,
        "latency_ms": 1.0,
        "lineage": {"experiment": "digits", "version": 1},
    }


def record(engine: Engine, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write predictions in their order."""
    with Session(engine) as session, session.begin():
        session.execute(insert(Prediction), [dict(row) for row in rows])
