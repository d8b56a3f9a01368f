"""What a task takes as a label, as the versions say that have this task; called by `labels` and `queue`."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from metadata_api.database.tables import ModelVersion
from metadata_api.errors import Invalid, NotFound
from metadata_api.predicting import answers, inputs
from serving_runtime.archive import interface
from serving_runtime.archive.interface import Interface

LABEL, NUMBER, TEXT = "label", "number", "text"
# Kinds of answers -> the field of a label that says what is right. Where nothing is known of the answers it may be any.
_FIELDS = {"probabilities": (LABEL,), "label": (LABEL,), "number": (NUMBER,), "text": (TEXT,)}
_ANY = (LABEL, NUMBER, TEXT)
# Most labels and tasks that an error names.
_NAMED = 50


@dataclass(frozen=True)
class Task:
    """What a task takes: `fields` of a label, and which `labels`, which are empty where any will do."""

    name: str
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    unit: str
    interfaces: tuple[Interface, ...]
    """Of its versions, each different one once."""

    @property
    def takes(self) -> str:
        """The same as a sentence."""
        if not self.fields:
            return f"Task {self.name} takes no labels: answers of its models cannot be compared with one."
        if self.fields == _ANY:
            return f"Task {self.name} takes one of label, number and text."
        [field] = self.fields
        unit = f" in {self.unit}" if self.unit else ""
        known = f", one of {', '.join(self.labels[:_NAMED])}" if self.labels else ""
        more = " ..." if len(self.labels) > _NAMED else ""
        return f"Task {self.name} takes a {field}{unit}{known}{more}."

    def check(self, field: str, value: str | float) -> None:
        """Raise Invalid for what is no answer to this task."""
        if field not in self.fields or (field == LABEL and self.labels and value not in self.labels):
            raise Invalid("label_invalid", self.takes)

    def check_input(self, kind: str, summary: dict[str, Any]) -> None:
        """Raise Invalid for an input that no version of this task takes."""
        if any(inputs.kinds()[kind].may_fit(summary, one.inputs) for one in self.interfaces):
            return
        taken = {" and ".join(spec.kind for spec in one.inputs) for one in self.interfaces}
        raise Invalid(
            "input_of_other_task",
            f"This input ({kind}) is none that models of task {self.name} take, which is {' or '.join(sorted(taken))}"
            ". Label it for a task whose models take it.",
        )


def find(session: Session, name: str) -> Task:
    """The task of this name; raises NotFound when no version has it."""
    mine = [one for one in _interfaces(session, name) if one.task == name]
    if not mine:
        raise NotFound("task_unknown", _unknown(session, name))
    return _of(name, mine)


def _of(name: str, mine: list[Interface]) -> Task:
    fields: dict[str, None] = {}
    labels: dict[str, None] = {}
    any_label = False
    for one in mine:
        found = _FIELDS.get(kind := answers.kind_of(one.outputs), _ANY if kind == answers.RAW else ())
        fields |= dict.fromkeys(found)
        if LABEL in found:
            labels |= dict.fromkeys(one.labels)
            any_label = any_label or not one.labels
    ordered = tuple(field for field in _ANY if field in fields)
    units = {tensor.unit for one in mine for tensor in one.outputs if tensor.unit}
    unit = units.pop() if len(units) == 1 else ""
    return Task(name, ordered, () if any_label else tuple(labels), unit, tuple(mine))


def _interfaces(session: Session, name: str | None = None) -> list[Interface]:
    """Of all versions that may have the task, each different one once."""
    said = (ModelVersion.inputs, ModelVersion.outputs, ModelVersion.labels, ModelVersion.handler)
    query = select(*said, ModelVersion.task).distinct()
    if name is not None:
        query = query.where(or_(ModelVersion.task == name, ModelVersion.task.is_(None)))
    return [
        interface.of_documents(row.inputs, row.outputs, row.labels, row.handler, row.task)
        for row in session.execute(query)
    ]


def _unknown(session: Session, name: str) -> str:
    known = sorted({one.task for one in _interfaces(session)})
    said = f"Tasks are {', '.join(known[:_NAMED])}." if known else "Upload a version first."
    return f"No version has the task {name}. {said}"
