"""Inputs as they are kept: bytes first, then a row, once for each sha256; called by predictions and routes."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api.database.prediction_tables import Input
from metadata_api.database.session import Sessions
from metadata_api.errors import Conflict, NotFound, Unavailable
from metadata_api.memory import charge
from metadata_api.objects import ledger
from metadata_api.predicting import images
from metadata_api.predicting.base import ParsedInput
from metadata_api.schemas import predictions as bodies
from metadata_api.storage.base import ObjectStore

# That wait for the disk at once.
_WRITERS = 8
# Of images from before their format was recorded.
_ANY_IMAGE = "image/*"
_ENDINGS = {"image/png": "png", "image/jpeg": "jpeg", "application/json": "json"}


def store(sessions: Sessions, inputs: ObjectStore, parsed: ParsedInput) -> None:
    """Claim and store the bytes of an input; raises OutOfSpace and Unavailable."""
    ledger.claim(sessions, ledger.INPUT, parsed.sha256, len(parsed.file))
    inputs.put(parsed.file)


def row_of(parsed: ParsedInput) -> Input:
    """The row of an input, not in the database yet."""
    return Input(
        sha256=parsed.sha256,
        kind=parsed.kind,
        media_type=parsed.media_type,
        size=len(parsed.file),
        width=parsed.width,
        height=parsed.height,
        summary=parsed.summary,
    )


def require_kind(session: Session, parsed: ParsedInput) -> None:
    """Raise Conflict when the same bytes are known as another kind: a text can be what a row is kept as."""
    known = session.scalar(select(Input.kind).where(Input.sha256 == parsed.sha256))
    if known is not None and known != parsed.kind:
        raise _other_kind(known)


def put(session: Session, row: Input) -> None:
    """Know an input whose bytes were stored, once; raises Unavailable when they were collected meanwhile.

    Raises Conflict when the same bytes are known as another kind.
    """
    columns = ("sha256", "kind", "media_type", "size", "width", "height", "summary")
    values = {name: getattr(row, name) for name in columns}
    new = insert(Input).values(values).on_conflict_do_nothing().returning(Input.kind)
    # Twice, as somebody may delete the input between the two statements.
    kind = next(
        (kind for _ in range(2) if (kind := session.scalar(new) or _locked(session, row.sha256))), None
    )
    if kind is None:
        raise Unavailable("input_busy", "The same input is just being deleted. Send it again.")
    if kind != row.kind:
        raise _other_kind(kind)
    ledger.keep(session, ledger.INPUT, row.sha256)


def store_all(sessions: Sessions, inputs: ObjectStore, parsed: Mapping[str, ParsedInput]) -> None:
    """Claim and store the bytes of inputs, given by their sha256; those that are kept already are not written again.

    Raises OutOfSpace and Unavailable.
    """
    with sessions() as session:
        kept = set(session.scalars(select(Input.sha256).where(Input.sha256.in_(parsed))))
    new = {digest: one for digest, one in parsed.items() if digest not in kept}
    ledger.claim_all(sessions, ledger.INPUT, {digest: len(one.file) for digest, one in new.items()})
    # The disk is waited for once for all of them instead of once for each.
    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(inputs.put, (one.file for one in new.values())))


def put_all(session: Session, parsed: Mapping[str, ParsedInput]) -> set[str]:
    """Know inputs whose bytes were stored; which of them are known now as the kind that they are here.

    Raises Unavailable when one was collected meanwhile.
    """
    if not parsed:
        return set()
    columns = ("sha256", "kind", "media_type", "size", "width", "height", "summary")
    rows = [row_of(one) for _, one in sorted(parsed.items())]
    values = [{name: getattr(row, name) for name in columns} for row in rows]
    session.execute(insert(Input).on_conflict_do_nothing(), values)
    locked = select(Input.sha256, Input.kind).where(Input.sha256.in_(parsed)).order_by(Input.sha256)
    found = session.execute(locked.with_for_update(read=True, key_share=True)).all()
    if len(found) < len(parsed):
        raise Unavailable("input_busy", "An input is just being deleted. Send it again.")
    ledger.keep_all(session, ledger.INPUT, parsed.keys())
    return {row.sha256 for row in found if parsed[row.sha256].kind == row.kind}


def lock(session: Session, row: Input) -> None:
    """Let nobody delete an input until the transaction ends; raises NotFound when somebody did."""
    if _locked(session, row.sha256) is None:
        raise unknown(row.sha256)


def read(sessions: Sessions, inputs: ObjectStore, sha256: str) -> tuple[bytes, str, str]:
    """The bytes of a kept input, their media type, and the ending of a file's name.

    Raises NotFound, and Unavailable when the bytes are missing or damaged.
    """
    with sessions() as session:
        known = session.get(Input, sha256)
    if known is None:
        raise unknown(sha256)
    charge(2 * known.size)
    file = inputs.read(sha256)
    media_type = images.media_type(file) if known.media_type == _ANY_IMAGE else known.media_type
    return file, media_type, _ENDINGS.get(media_type, "txt")


def list_page(session: Session, *, kind: str | None, limit: int, before: str | None) -> bodies.InputPage:
    """The `limit` newest inputs, or those behind the one with the sha256 `before`; raises NotFound for an unknown."""
    query = select(Input)
    if kind is not None:
        query = query.where(Input.kind == kind)
    if before is not None:
        last = session.get(Input, before)
        if last is None:
            raise unknown(before)
        query = query.where(tuple_(Input.created_at, Input.sha256) < (last.created_at, last.sha256))
    query = query.order_by(Input.created_at.desc(), Input.sha256.desc()).limit(limit + 1)
    rows = session.scalars(query).all()
    items = [listed(row) for row in rows[:limit]]
    return bodies.InputPage(items=items, next=rows[limit - 1].sha256 if len(rows) > limit else None)


def named(session: Session, digests: Iterable[str]) -> dict[str, bodies.StoredInput]:
    """Those of these digests that are there."""
    rows = session.scalars(select(Input).where(Input.sha256.in_(set(digests))))
    return {row.sha256: listed(row) for row in rows}


def listed(row: Input) -> bodies.StoredInput:
    """An input as lists have it, with the time since which it is kept."""
    return bodies.StoredInput(**shown(row).model_dump(), created_at=row.created_at)


def shown(row: Input, *, is_stored: bool = True) -> bodies.Input:
    """An input as bodies have it."""
    sides = {"width": row.width, "height": row.height} if row.width is not None else {}
    return bodies.Input(
        sha256=row.sha256,
        kind=row.kind,
        media_type=row.media_type,
        size=row.size,
        summary={**sides, **row.summary},
        url=f"/v1/inputs/{row.sha256}" if is_stored else None,
    )


def unknown(sha256: str) -> NotFound:
    """The error for an input that is not there."""
    return NotFound("input_unknown", f"There is no input {sha256}. Send the input itself with a prediction.")


def _other_kind(known: str) -> Conflict:
    return Conflict("input_other_kind", f"The same bytes are kept as {known} already. Send something else.")


def _locked(session: Session, sha256: str) -> str | None:
    """The kind of an input that nobody deletes any more; None when there is none."""
    known = select(Input.kind).where(Input.sha256 == sha256)
    return session.scalar(known.with_for_update(read=True, key_share=True))
