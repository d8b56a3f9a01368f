"""The copy of the store in another bucket: every object that a row needs is sent there once, the oldest first.

The maintenance of the leader calls it. Nothing is ever deleted from the copy: dumps may need what no row needs now.
"""

import logging
import time
from collections.abc import Mapping

from sqlalchemy import and_, func, select, tuple_, update

from metadata_api.database.object_tables import StoredObject
from metadata_api.database.session import Sessions
from metadata_api.errors import Unavailable
from metadata_api.objects.repair import PROBLEMS, RepairedStore
from metadata_api.storage.base import transfer

BATCH = 50
RESET_BATCH = 10_000
# How often it looks for copies in another place: only another replica with other settings writes any.
LOOK_SECONDS = 3600.0
log = logging.getLogger(__name__)


class Copies:
    """Copies of the objects in `stores`, at `place`; empty where there is no copy."""

    def __init__(self, sessions: Sessions, stores: Mapping[str, RepairedStore], place: str) -> None:
        self._sessions = sessions
        self._stores = stores
        self._place = place
        self._next_look = 0.0

    def step(self) -> bool:
        """Send some objects that the copy may lack; whether there are more. Raises Unavailable and OutOfSpace."""
        kinds = [kind for kind, store in self._stores.items() if store.copy is not None]
        if not kinds:
            return False
        if time.monotonic() >= self._next_look:
            if self._reset_some():
                return True
            self._next_look = time.monotonic() + LOOK_SECONDS
        waiting = (
            select(StoredObject.kind, StoredObject.sha256)
            .where(
                StoredObject.copied_at.is_(None),
                StoredObject.unreferenced_since.is_(None),
                StoredObject.problem.is_(None),
                StoredObject.kind.in_(kinds),
            )
            .order_by(StoredObject.created_at)
            .limit(BATCH)
        )
        with self._sessions() as session:
            found = [(row.kind, row.sha256) for row in session.execute(waiting)]
        for kind, digest in found:
            if _send(self._stores[kind], digest):
                self._note(kind, digest)
        return len(found) == BATCH

    def _reset_some(self) -> bool:
        """Forget some copies that are elsewhere, because the setting was changed; whether there were any."""
        elsewhere = and_(
            StoredObject.copied_at.is_not(None), StoredObject.copied_to.is_distinct_from(self._place)
        )
        some = select(StoredObject.kind, StoredObject.sha256).where(elsewhere).limit(RESET_BATCH)
        with self._sessions.begin() as session:
            reset = session.scalars(
                update(StoredObject)
                .where(elsewhere, tuple_(StoredObject.kind, StoredObject.sha256).in_(some))
                .values(copied_at=None, copied_to=None)
                .returning(StoredObject.sha256)
            ).all()
        if reset:
            log.warning(
                "%d objects are copied again, because their copies are not in %s", len(reset), self._place
            )
        return bool(reset)

    def _note(self, kind: str, digest: str) -> None:
        mine = (StoredObject.kind == kind, StoredObject.sha256 == digest)
        with self._sessions.begin() as session:
            session.execute(
                update(StoredObject).where(*mine).values(copied_at=func.now(), copied_to=self._place)
            )


def _send(store: RepairedStore, digest: str) -> bool:
    """Send one object, checked by its hash; False for one that is broken or was deleted meanwhile."""
    assert store.copy is not None, "the caller sees to it"
    try:
        return transfer(digest, store, store.copy)
    except Unavailable as error:
        if error.code not in PROBLEMS:
            raise
        log.warning("%s cannot be copied: %s", digest, error.detail)
        return False
