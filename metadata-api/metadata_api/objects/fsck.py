"""Checks of the store against the database, both ways: rows without their bytes, bytes without a row, other bytes.

A check is requested by a row and carried out by the leader, step by step: how far it is stands in the row, so that one
that was killed goes on, and anybody can look. Both sides are read in the order of their sha256, a page at a time.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api.database.object_tables import StoreCheck, StoredObject
from metadata_api.database.prediction_tables import Prediction
from metadata_api.database.session import Sessions
from metadata_api.database.tables import Experiment, ModelVersion
from metadata_api.errors import MarinaError, NotFound
from metadata_api.objects import ledger
from metadata_api.objects.repair import RepairedStore
from metadata_api.schemas import fsck as bodies
from metadata_api.storage.base import KINDS, StoredBytes

STEP_SECONDS = 2.0
PAGE = 500
LISTED_FINDINGS = 1000
PENDING = (
    select(StoreCheck).where(StoreCheck.state.in_(("requested", "running"))).order_by(StoreCheck.id).limit(1)
)
log = logging.getLogger(__name__)


def request(session: Session, *, repair: bool, by: str) -> bodies.StoreCheck:
    """Want a check; one that was not begun or ended yet is returned instead."""
    while True:
        if (row := session.scalar(PENDING.with_for_update())) is not None:
            row.repair = row.repair or repair
            session.flush()
            return _shown(row)
        # It conflicts with a request that came first: perhaps that check has ended before we look again.
        made = insert(StoreCheck).values(repair=repair, requested_by=by).on_conflict_do_nothing()
        if (number := session.scalar(made.returning(StoreCheck.id))) is not None:
            return _shown(session.get_one(StoreCheck, number))


def show(session: Session) -> bodies.StoreCheck:
    """The newest check; raises NotFound before the first."""
    row = session.scalar(select(StoreCheck).order_by(StoreCheck.id.desc()).limit(1))
    if row is None:
        raise NotFound("check_unknown", "The store was never checked. Request a check by POST /v1/fsck.")
    return _shown(row)


def step(sessions: Sessions, stores: Mapping[str, RepairedStore], seconds: float = STEP_SECONDS) -> bool:
    """Carry a requested check on for about so many seconds; whether there is more to do."""
    with sessions.begin() as session:
        row = session.scalar(PENDING)
        if row is None:
            return False
        if row.state == "requested":
            ledger.settle(session)
            row.state, row.objects = "running", _count(session)
    check = _Check(sessions, stores, row)
    try:
        check.run(time.monotonic() + seconds)
    except (MarinaError, OSError) as error:
        log.warning("the check of the store failed: %s", error)
        check.fail(error.detail if isinstance(error, MarinaError) else str(error.strerror))
    return not check.ended


class _Check:
    """One step of a check."""

    def __init__(self, sessions: Sessions, stores: Mapping[str, RepairedStore], row: StoreCheck) -> None:
        self.sessions = sessions
        self.stores = stores
        self.row = row
        self.ended = False
        self._listed = Counter(one["problem"] == "unknown" for one in row.findings)

    def run(self, end: float) -> None:
        kind, _, after = self.row.position.partition("/")
        for one in KINDS[KINDS.index(kind) if kind else 0 :]:
            for entry, found in _pairs(self.sessions, self.stores[one], one, after if one == kind else ""):
                self._judge(one, entry, found)
                self.row.position = f"{one}/{entry.sha256 if entry else found.sha256 if found else ''}"
                if time.monotonic() > end:
                    return self._save()
        self._finish("finished")

    def fail(self, reason: str) -> None:
        self.row.error = reason
        self._finish("failed")

    def _judge(self, kind: str, entry: "_Entry | None", found: StoredBytes | None) -> None:
        row = self.row
        if entry is None:
            assert found, "one of both is there"
            row.unreferenced += 1
            self._list(kind, found.sha256, "unknown")
            return
        if entry.unreferenced:
            row.unreferenced += found is not None
            return
        row.checked += 1
        row.checked_bytes += found.size if found else 0
        problem, repaired = self.stores[kind].check(entry.sha256, repair=row.repair)
        if problem is None or not self._is_needed(kind, entry.sha256):
            return
        row.missing += problem == "missing"
        row.damaged += problem == "damaged"
        row.repaired += repaired
        self._list(kind, entry.sha256, problem, repaired=repaired)

    def _list(self, kind: str, digest: str, problem: str, *, repaired: bool = False) -> None:
        """Name it, unless so many are named: bytes that nothing knows leave the place to those that a row lacks."""
        unknown = problem == "unknown"
        if self._listed[unknown] >= LISTED_FINDINGS:
            return
        self._listed[unknown] += 1
        finding = bodies.Finding(kind=kind, sha256=digest, problem=problem, repaired=repaired)
        if not unknown:
            with self.sessions() as session:
                finding.used_by = _used_by(session, kind, digest)
        self.row.findings = [*self.row.findings, finding.model_dump()]

    def _is_needed(self, kind: str, digest: str) -> bool:
        """Whether a row still needs it, as it may have been deleted since the page was read."""
        with self.sessions() as session:
            needed = select(StoredObject.sha256).where(
                StoredObject.kind == kind,
                StoredObject.sha256 == digest,
                StoredObject.unreferenced_since.is_(None),
            )
            return session.scalar(needed) is not None

    def _finish(self, state: str) -> None:
        self.ended = True
        self.row.state = state
        self._save(finished_at=func.now())

    def _save(self, **more: Any) -> None:
        columns = (
            *("state", "position", "checked", "checked_bytes", "missing", "damaged", "repaired"),
            *("unreferenced", "findings", "error"),
        )
        values = {name: getattr(self.row, name) for name in columns}
        with self.sessions.begin() as session:
            session.execute(update(StoreCheck).where(StoreCheck.id == self.row.id).values(**values, **more))


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object as the ledger has it."""

    sha256: str
    unreferenced: bool


def _pairs(
    sessions: Sessions, store: RepairedStore, kind: str, after: str
) -> Iterator[tuple[_Entry | None, StoredBytes | None]]:
    """Both sides side by side, by sha256; None where one of them has nothing."""
    entries, objects = _entries(sessions, kind, after), store.objects(after)
    entry, found = next(entries, None), next(objects, None)
    while entry or found:
        if found is None or (entry and entry.sha256 < found.sha256):
            yield entry, None
            entry = next(entries, None)
        elif entry is None or found.sha256 < entry.sha256:
            yield None, found
            found = next(objects, None)
        else:
            yield entry, found
            entry, found = next(entries, None), next(objects, None)


def _entries(sessions: Sessions, kind: str, after: str) -> Iterator[_Entry]:
    while True:
        with sessions() as session:
            page = session.execute(
                select(StoredObject.sha256, StoredObject.unreferenced_since)
                .where(StoredObject.kind == kind, StoredObject.sha256 > after)
                .order_by(StoredObject.sha256)
                .limit(PAGE)
            ).all()
        yield from (_Entry(row.sha256, row.unreferenced_since is not None) for row in page)
        if len(page) < PAGE:
            return
        after = page[-1].sha256


def _used_by(session: Session, kind: str, digest: str) -> list[str]:
    """What needs an object, in words."""
    if kind == ledger.ARCHIVE:
        query = select(Experiment.name, ModelVersion.number).join(
            Experiment, ModelVersion.experiment_id == Experiment.id
        )
        rows = session.execute(query.where(ModelVersion.sha256 == digest).limit(10))
        return [f"version {number} of {name}" for name, number in rows]
    count = session.scalar(select(func.count()).where(Prediction.input_sha256 == digest))
    return [f"{count} predictions"]


def _count(session: Session) -> int:
    return session.scalar(select(func.count()).where(StoredObject.unreferenced_since.is_(None))) or 0


def _shown(row: StoreCheck) -> bodies.StoreCheck:
    return bodies.StoreCheck.model_validate(row, from_attributes=True)
