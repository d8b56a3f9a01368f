"""The ledger of the store: every object with its size, since when nothing refers to it, and what is wrong with it.

An upload claims its bytes before it stores them, and keeps them in the transaction that refers to them. What was
claimed and never kept, and what was released, is unreferenced: the collector deletes it after the grace time. Keeping
fails when the collector was faster, so that no row ever refers to bytes that are gone.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.dml import ReturningInsert

from metadata_api.database.object_tables import StoredObject
from metadata_api.database.prediction_tables import Input
from metadata_api.database.session import Sessions
from metadata_api.database.tables import ModelVersion
from metadata_api.errors import OutOfSpace, Unavailable
from metadata_api.storage.base import KINDS

ARCHIVE, INPUT = KINDS
REFERENCES: dict[str, InstrumentedAttribute[str]] = {ARCHIVE: ModelVersion.sha256, INPUT: Input.sha256}
"""Where the rows that need an object name it."""
# The collector deletes an object within milliseconds; one that died in the middle is cleared up after by the next.
CLAIM_SECONDS = 10.0
# So long after an object was condemned nobody is deleting it any more, whatever became of that.
ABANDONED = timedelta(seconds=120)
PAUSE_SECONDS = 0.05


def claim(sessions: Sessions, kind: str, digest: str, size: int) -> None:
    """Announce bytes that are about to be stored; from now on they have the grace time to be kept.

    Raises Unavailable when the same bytes are just being deleted and that takes long.
    """
    end = time.monotonic() + CLAIM_SECONDS
    while not _claimed(sessions, kind, digest, size):
        if time.monotonic() > end:
            raise Unavailable(
                "object_busy",
                f"The same bytes, {digest}, are just being deleted. Send them again in two minutes.",
            )
        time.sleep(PAUSE_SECONDS)


def claim_all(sessions: Sessions, kind: str, sizes: Mapping[str, int]) -> None:
    """The same for several objects, given as sha256 and size."""
    claimed: set[str] = set()
    if sizes:
        with sessions.begin() as session:
            session.execute(text("set local synchronous_commit = off"))
            # In one order for all, so that two who claim the same wait for each other and not both.
            claimed.update(session.scalars(_claiming(kind, sorted(sizes.items()))))
    for digest in sizes.keys() - claimed:
        claim(sessions, kind, digest, sizes[digest])


def knows(sessions: Sessions, kind: str, digest: str) -> bool:
    """Whether bytes are counted already: to send them again, perhaps because they are damaged, takes no more."""
    with sessions() as session:
        return session.scalar(select(StoredObject.sha256).where(_is(kind, digest))) is not None


def require_quota(sessions: Sessions, kind: str, size: int, quota: int) -> None:
    """Raise OutOfSpace when so many new bytes would be beyond a quota; 0 means that there is none."""
    if not quota:
        return
    with sessions() as session:
        stored = select(func.coalesce(func.sum(StoredObject.size), 0)).where(StoredObject.kind == kind)
        left = quota - (session.scalar(stored) or 0)
    if size > left:
        raise OutOfSpace(
            "quota_exceeded",
            f"The {kind}s may have {quota:,} bytes, {max(0, left):,} are left and this has {size:,}. Delete versions "
            "that nobody needs; their bytes are free after the grace time. Or raise "
            "METADATA_API_RETENTION_ARCHIVES_BYTES.",
        )


def keep(session: Session, kind: str, digest: str) -> None:
    """Refer to bytes that were claimed and stored, as part of the transaction that writes the row.

    Raises Unavailable when they were collected meanwhile.
    """
    alive = and_(_is(kind, digest), StoredObject.deleting_since.is_(None))
    # A lock that others share: many requests about one input keep it at the same time.
    referenced = select(StoredObject.sha256).where(
        alive, StoredObject.unreferenced_since.is_(None), StoredObject.problem.is_(None)
    )
    if session.scalar(referenced.with_for_update(read=True)) is not None:
        return
    kept = update(StoredObject).where(alive).values(unreferenced_since=None, problem=None)
    if session.scalar(kept.returning(StoredObject.sha256)) is None:
        raise _collected()


def keep_all(session: Session, kind: str, digests: Collection[str]) -> None:
    """The same for several objects; raises Unavailable when one of them was collected meanwhile."""
    alive = and_(
        StoredObject.kind == kind, StoredObject.sha256.in_(digests), StoredObject.deleting_since.is_(None)
    )
    locked = select(StoredObject.sha256).where(alive).order_by(StoredObject.sha256)
    if len(session.scalars(locked.with_for_update(read=True)).all()) < len(set(digests)):
        raise _collected()
    new = or_(StoredObject.unreferenced_since.is_not(None), StoredObject.problem.is_not(None))
    session.execute(update(StoredObject).where(alive, new).values(unreferenced_since=None, problem=None))


def _collected() -> Unavailable:
    return Unavailable("object_collected", "The bytes waited too long and were deleted. Send them again.")


def release(session: Session, kind: str, digests: Collection[str]) -> None:
    """Mark those that no row refers to any more, in the transaction that deleted the rows."""
    session.flush()
    session.execute(
        update(StoredObject)
        .where(
            StoredObject.kind == kind,
            StoredObject.sha256.in_(digests),
            StoredObject.unreferenced_since.is_(None),
            ~is_referenced(kind),
        )
        .values(unreferenced_since=func.now())
    )


def is_referenced(kind: str) -> ColumnElement[bool]:
    """Whether a row refers to an object of the ledger."""
    return exists().where(REFERENCES[kind] == StoredObject.sha256)


def note(sessions: Sessions, kind: str, digest: str, problem: str | None) -> None:
    """Remember what was wrong with an object when it was read, or that nothing is any more."""
    with sessions.begin() as session:
        session.execute(
            update(StoredObject)
            .where(_is(kind, digest), StoredObject.problem.is_distinct_from(problem))
            .values(problem=problem)
        )


def problems(session: Session) -> dict[str, int]:
    """How many objects that rows need are missing or damaged, as far as anybody noticed."""
    counted = (
        select(StoredObject.problem, func.count())
        .where(StoredObject.problem.is_not(None), StoredObject.unreferenced_since.is_(None))
        .group_by(StoredObject.problem)
    )
    return {str(problem): count for problem, count in session.execute(counted)}


def settle(session: Session) -> None:
    """Make the ledger agree with the rows, whatever happened: a restore, a row that was changed by hand."""
    for kind, column in REFERENCES.items():
        session.execute(
            update(StoredObject)
            .where(StoredObject.kind == kind, StoredObject.unreferenced_since.is_(None), ~is_referenced(kind))
            .values(unreferenced_since=func.now())
        )
        session.execute(
            update(StoredObject)
            .where(
                StoredObject.kind == kind, StoredObject.unreferenced_since.is_not(None), is_referenced(kind)
            )
            .values(unreferenced_since=None, deleting_since=None)
        )
        size = column.class_.size
        unknown = select(text(f"'{kind}'"), column, func.max(size)).where(
            ~exists().where(StoredObject.kind == kind, StoredObject.sha256 == column)
        )
        session.execute(
            insert(StoredObject)
            .from_select(["kind", "sha256", "size"], unknown.group_by(column))
            .on_conflict_do_nothing()
        )


def _claimed(sessions: Sessions, kind: str, digest: str, size: int) -> bool:
    """False while the collector is at it."""
    with sessions.begin() as session:
        row = session.execute(
            select(StoredObject.unreferenced_since, StoredObject.deleting_since).where(_is(kind, digest))
        ).one_or_none()
        if row is not None and row.unreferenced_since is None and row.deleting_since is None:
            return True
        # What this writes protects nothing that is stored yet: it need not wait for the disk.
        session.execute(text("set local synchronous_commit = off"))
        return session.scalar(_claiming(kind, [(digest, size)])) is not None


def _claiming(kind: str, objects: Sequence[tuple[str, int]]) -> ReturningInsert[tuple[str]]:
    """The statement that claims objects, given as sha256 and size; it returns those that it could claim."""
    rows = [
        {"kind": kind, "sha256": digest, "size": size, "unreferenced_since": func.now()}
        for digest, size in objects
    ]
    claimed = insert(StoredObject).values(rows)
    claimed = claimed.on_conflict_do_update(
        index_elements=["kind", "sha256"],
        set_={
            "unreferenced_since": case((StoredObject.unreferenced_since.is_(None), None), else_=func.now()),
            "deleting_since": None,
        },
        where=or_(
            StoredObject.deleting_since.is_(None), StoredObject.deleting_since < func.now() - ABANDONED
        ),
    )
    return claimed.returning(StoredObject.sha256)


def _is(kind: str, digest: str) -> ColumnElement[bool]:
    return and_(StoredObject.kind == kind, StoredObject.sha256 == digest)
