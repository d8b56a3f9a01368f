"""The audit log: every transaction of a request that changes something writes who did it and what, in itself.

No route asks for it, so that none can forget it: `record_changes` watches the sessions. What the reconciler does is in
the events of deployments; predictions and their inputs are their own record.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Insert, Select, event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from starlette.types import Scope

from metadata_api.auth.layer import REQUEST_ID, address_of
from metadata_api.auth.principal import principal_of
from metadata_api.auth.request import current_request, logged_path
from metadata_api.csv_cells import cell
from metadata_api.database import tables
from metadata_api.database.auth_tables import ApiToken, AuditEntry
from metadata_api.database.evidence_tables import Label, PolicyOfAlias
from metadata_api.database.pages import first_rows
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.session import Base, Sessions
from metadata_api.memory import charge
from metadata_api.schemas import audit as bodies

AUDITED = (
    tables.Experiment,
    tables.ModelVersion,
    tables.Deployment,
    tables.Alias,
    tables.Import,
    ApiToken,
    Label,
    PolicyOfAlias,
)
AUDITED_WHEN_DELETED = (Prediction, Input)
"""While they are there they are their own record."""
# Secret, long, or said elsewhere; what is observed is nobody's doing.
_LEFT_OUT = frozenset(
    (
        "id",
        "files",
        "inputs",
        "outputs",
        "golden",
        "training",
        "metrics",
        "archive_settings",
        "problems",
        "created_at",
        "updated_at",
        "uploaded_by",
        "uploaded_from",
    )
)
# What a token can be recognised by is nobody's business but of those who check it.
_LEFT_OUT_OF_TOKENS = frozenset(("sha256",))
MAX_ROWS = 50
MAX_TEXT = 200
# The export of many entries is charged in such steps: as text, and as the body of a response.
CHARGED_CHARACTERS = 1024 * 1024
_COPIES = 3
_CHANGES = "audit_changes"
_MARKS = "audit_marks"
COLUMNS = tuple(bodies.Entry.model_fields)


def record_changes(sessions: Sessions) -> None:
    """Write an entry in every transaction of a request that changes a row of `AUDITED`."""
    event.listen(sessions, "before_flush", _collect)
    event.listen(sessions, "do_orm_execute", _collect_statement)
    event.listen(sessions, "before_commit", _write)
    event.listen(sessions, "after_transaction_create", _mark)
    event.listen(sessions, "after_soft_rollback", _forget)


def list_page(
    session: Session, *, subject: str | None, limit: int, before: int | None, rejected: Mapping[str, int]
) -> bodies.AuditPage:
    """Entries, newest first, or those before an id; fewer than `limit` when they are large."""
    rows, more = first_rows(session, _query(subject, before), (AuditEntry.changes,), limit)
    shown = [bodies.Entry.model_validate(row, from_attributes=True) for row in rows]
    following = str(shown[-1].id) if more else None
    return bodies.AuditPage(items=shown, next=following, rejected=dict(rejected))


def as_csv(session: Session, *, subject: str | None, limit: int) -> str:
    """The newest entries as CSV; no cell is a formula to a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    charged = 0
    for row in session.scalars(_query(subject, None).limit(limit).execution_options(yield_per=500)):
        writer.writerow(cell(getattr(row, column)) for column in COLUMNS)
        if text.tell() - charged > CHARGED_CHARACTERS:
            charge(_COPIES * (text.tell() - charged))
            charged = text.tell()
    return text.getvalue()


def _query(subject: str | None, before: int | None) -> Select[Any]:
    query = select(AuditEntry).order_by(AuditEntry.id.desc())
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    return query if before is None else query.where(AuditEntry.id < before)


def _collect(session: Session, _context: object, _objects: object) -> None:
    changes = session.info.setdefault(_CHANGES, [])
    changes += (found for found in _changed(session) if found)


def _changed(session: Session) -> Iterator[dict[str, Any] | None]:
    for row in session.new:
        if isinstance(row, AUDITED):
            yield _change(row, {}, _values(row))
    for row in session.dirty:
        if isinstance(row, AUDITED):
            before, after = _difference(row)
            yield _change(row, before, after) if after else None
    for row in session.deleted:
        if isinstance(row, AUDITED + AUDITED_WHEN_DELETED):
            yield _change(row, _values(row), {})


def _collect_statement(state: ORMExecuteState) -> None:
    """A statement that inserts one row says what is in it; one over many rows says only its table."""
    mapper = state.bind_mapper
    audited = AUDITED + AUDITED_WHEN_DELETED if state.is_delete else AUDITED
    if not state.is_select and mapper is not None and issubclass(mapper.class_, audited):
        changes = state.session.info.setdefault(_CHANGES, [])
        made: Any = mapper.class_
        known = {column.key for column in mapper.column_attrs}
        if values := {key: value for key, value in _inserted(state).items() if key in known}:
            row = made(**values)
            changes.append(_change(row, {}, _values(row)))
        else:
            kind = "insert" if state.is_insert else "update" if state.is_update else "delete"
            changes.append({"table": mapper.class_.__tablename__, "statement": kind})


def _inserted(state: ORMExecuteState) -> Mapping[str, Any]:
    """The values of a statement that inserts one row; nothing for every other."""
    if not isinstance(state.statement, Insert):
        return {}
    if given := state.parameters:
        rows = [given] if isinstance(given, Mapping) else given
        return rows[0] if len(rows) == 1 else {}
    return dict(state.statement.compile(dialect=state.session.get_bind().dialect).params)


def _mark(session: Session, transaction: SessionTransaction) -> None:
    """Note how many changes there were before a savepoint."""
    session.info.setdefault(_MARKS, {})[id(transaction)] = len(session.info.get(_CHANGES, ()))


def _forget(session: Session, transaction: SessionTransaction) -> None:
    """What a savepoint or the whole transaction had changed did not happen."""
    start = session.info.get(_MARKS, {}).pop(id(transaction), 0)
    del session.info.get(_CHANGES, [])[start:]


def _write(session: Session) -> None:
    scope = current_request.get()
    if scope is None or session.in_nested_transaction():
        return
    session.flush()
    changes = session.info.pop(_CHANGES, [])
    if not changes:
        return
    more = len(changes) - MAX_ROWS
    session.add(_entry(scope, changes[:MAX_ROWS] + ([{"more": more}] if more > 0 else [])))


def _entry(scope: Scope, changes: list[dict[str, Any]]) -> AuditEntry:
    caller = principal_of(scope)
    route = getattr(scope.get("route"), "path", scope["path"])
    return AuditEntry(
        subject=caller.subject,
        kind=caller.kind,
        role=caller.role,
        token_id=caller.token_id,
        route=f"{scope['method']} {route}",
        path=logged_path(scope)[:MAX_TEXT],
        changes=changes,
        address=address_of(scope),
        request_id=scope["state"][REQUEST_ID],
    )


def _change(row: Base, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    key = next((str(getattr(row, name)) for name in _key_names(row) if hasattr(row, name)), "")
    return {"table": row.__tablename__, "key": key, "before": before, "after": after}


def _key_names(row: Base) -> tuple[str, ...]:
    if isinstance(row, Label):
        return ("input_sha256",)
    # Several tokens may have one name.
    return (
        ("id",)
        if isinstance(row, ApiToken)
        else ("name", "number", "filename", "uid", "sha256", "alias_id", "id")
    )


def _values(row: Base) -> dict[str, Any]:
    loaded = inspect(row).dict
    return {key: _short(loaded[key]) for key in _columns(row) if loaded.get(key) is not None}


def _difference(row: Base) -> tuple[dict[str, Any], dict[str, Any]]:
    state = inspect(row)
    before, after = {}, {}
    for key in _columns(row):
        history = state.attrs[key].history
        if history.has_changes():
            before[key] = _short(history.deleted[0]) if history.deleted else None
            after[key] = _short(history.added[0]) if history.added else None
    return before, after


def _columns(row: Base) -> list[str]:
    left_out = _LEFT_OUT | _LEFT_OUT_OF_TOKENS if isinstance(row, ApiToken) else _LEFT_OUT
    names = (column.key for column in inspect(row).mapper.column_attrs)
    return [name for name in names if name not in left_out and not name.startswith("observed_")]


def _short(value: object) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | dict) and len(str(value)) <= MAX_TEXT:
        return value
    text = str(value)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"
