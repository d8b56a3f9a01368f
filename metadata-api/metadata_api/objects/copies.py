"""The copy of the store in another bucket: every object that a row needs is sent there once, the oldest first.

The maintenance of the leader calls it. Nothing is ever deleted from the copy: dumps may need what no row needs now.
"""

import logging
from collections.abc import Mapping

from sqlalchemy import func, select, update

from metadata_api.database.object_tables import StoredObject
from metadata_api.database.session import Sessions
from metadata_api.errors import Unavailable
from metadata_api.objects.repair import PROBLEMS, RepairedStore
from metadata_api.storage.base import transfer

BATCH = 50
log = logging.getLogger(__name__)


def copy_some(sessions: Sessions, stores: Mapping[str, RepairedStore]) -> bool:
    """Send some objects that the copy may lack; whether there are more. Raises Unavailable and OutOfSpace."""
    kinds = [kind for kind, store in stores.items() if store.copy is not None]
    if not kinds:
        return False
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
    with sessions() as session:
        found = [(row.kind, row.sha256) for row in session.execute(waiting)]
    for kind, digest in found:
        if _send(stores[kind], digest):
            mine = (StoredObject.kind == kind, StoredObject.sha256 == digest)
            with sessions.begin() as session:
                session.execute(update(StoredObject).where(*mine).values(copied_at=func.now()))
    return len(found) == BATCH


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
