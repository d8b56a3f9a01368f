"""Labels: the right answer to an input for a task, as a person said it; called by the routes for labels.

A label is never changed and never deleted: a correction is a new one that supersedes it, and one that is taken back is
not current any more. For each input and task one is current at most.
"""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api.database import pages
from metadata_api.database.evidence_tables import Label, LabelSkip
from metadata_api.database.prediction_tables import Input
from metadata_api.errors import Conflict, Invalid, NotFound
from metadata_api.evidence import order, tasks
from metadata_api.predicting import stored_inputs
from metadata_api.schemas import labels as bodies

FIELDS = (tasks.LABEL, tasks.NUMBER, tasks.TEXT)


def put(session: Session, sha256: str, new: bodies.NewLabel, author: str) -> tuple[bodies.Label, bool]:
    """Say what is right; False when the same person said the same before. It supersedes the current label.

    `author` is the verified caller. Of several at once each supersedes the one before, and the last is current.
    Raises NotFound for an unknown input or task; Invalid for an answer or an input that the task does not take, and for
    one drawn at random that is not of the random slice; Conflict when the label that it shall supersede is no longer
    current, and the one that is says otherwise.
    """
    task = tasks.find(session, new.task)
    answer = {field: value for field in FIELDS if (value := getattr(new, field)) is not None}
    if len(answer) != 1:
        raise Invalid("label_invalid", f"Send one of label, number and text. {task.takes}")
    [(field, value)] = answer.items()
    task.check(field, value)
    if new.chosen == "random" and not order.is_drawn(new.task, sha256):
        raise Invalid(
            "chosen_invalid",
            "This input is not of the random slice, so that no score may count it as drawn at random. Send `chosen` as "
            "the label queue says it, or leave it out.",
        )
    known = _lock(session, sha256)
    task.check_input(known.kind, known.summary)
    old = current(session, sha256, new.task)
    if old is not None and (getattr(old, field), old.note, old.author) == (value, new.note, author):
        return _shown(old), False
    if new.supersedes is not None and new.supersedes != (old.id if old else 0):
        if old is not None and getattr(old, field) == value:
            return _shown(old), False
        raise _changed(old)
    # The time of the transaction may be before that of the label that it waited for.
    now = session.scalars(select(func.clock_timestamp())).one()
    row = Label(
        **answer,
        input_sha256=sha256,
        task=new.task,
        note=new.note,
        author=author,
        # How the input was chosen does not change with what is said about it.
        chosen=old.chosen if old else new.chosen,
        supersedes=old.id if old else None,
        created_at=now,
    )
    _replace(session, old, row, now)
    return _shown(row), True


def take_back(session: Session, sha256: str, task: str, label_id: int | None = None) -> bodies.Label:
    """Let no label be current: it stays as history, like one that is superseded.

    Raises NotFound, and Conflict when a label is named and another is current.
    """
    _lock(session, sha256)
    old = current(session, sha256, task)
    if old is None:
        raise NotFound("label_unknown", f"This input has no label for the task {task}.")
    if label_id not in (None, old.id):
        raise _changed(old)
    old.superseded_at = session.scalars(select(func.clock_timestamp())).one()
    session.flush()
    return _shown(old)


def skip(session: Session, sha256: str, task: str, author: str) -> None:
    """Do not offer an input to a person again; raises NotFound."""
    tasks.find(session, task)
    _lock(session, sha256)
    new = insert(LabelSkip).values(input_sha256=sha256, task=task, author=author)
    session.execute(new.on_conflict_do_nothing())


def take_back_skip(session: Session, sha256: str, task: str, author: str) -> None:
    """Offer it again; nothing happens when it was not skipped."""
    mine = (LabelSkip.input_sha256 == sha256, LabelSkip.task == task, LabelSkip.author == author)
    session.execute(delete(LabelSkip).where(*mine))


def list_page(
    session: Session, sha256: str, *, task: str | None, limit: int, before: int | None
) -> bodies.LabelPage:
    """The `limit` newest labels of an input, or those before an id; raises NotFound for an unknown input."""
    if session.get(Input, sha256) is None:
        raise stored_inputs.unknown(sha256)
    query = select(Label).where(Label.input_sha256 == sha256)
    if task is not None:
        query = query.where(Label.task == task)
    total = session.scalar(query.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    rows, following = pages.newest(session, query, Label.id, limit=limit, before=before)
    return bodies.LabelPage(items=[_shown(row) for row in rows], total=total, next=following)


def current(session: Session, sha256: str, task: str) -> Label | None:
    """The label that counts; None where nobody said anything."""
    mine = (Label.input_sha256 == sha256, Label.task == task, Label.superseded_at.is_(None))
    return session.scalar(select(Label).where(*mine))


def _replace(session: Session, old: Label | None, new: Label, now: datetime) -> None:
    if old is not None:
        old.superseded_at = now
        # Before the other is there: one is current at any time.
        session.flush()
    session.add(new)
    session.flush()


def _changed(now: Label | None) -> Conflict:
    if now is None:
        return Conflict("label_changed", "The label was taken back meanwhile. Say again what is right.")
    said = str(next(value for field in FIELDS if (value := getattr(now, field)) is not None))
    return Conflict(
        "label_changed",
        f"{now.author} said {said[:200]!r} about this input meanwhile. Look again, and correct it where it is wrong.",
    )


def _lock(session: Session, sha256: str) -> Input:
    """Let nobody label or delete an input until the transaction ends; models may be asked about it. Raises NotFound."""
    locked = select(Input).where(Input.sha256 == sha256).with_for_update(key_share=True)
    if (known := session.scalar(locked)) is None:
        raise stored_inputs.unknown(sha256)
    return known


def _shown(row: Label) -> bodies.Label:
    columns = {column.key: getattr(row, column.key) for column in Label.__table__.columns}
    return bodies.Label(**columns, current=row.superseded_at is None)
