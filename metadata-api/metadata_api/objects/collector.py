"""Deletes bytes that nothing refers to: what was marked a grace time ago, and only after it said so in the ledger.

Of several replicas the leader collects, and two at once would do no harm: rows are locked while they are condemned, and
a condemned object can be neither claimed nor kept. What the ledger does not know is never deleted: each upload of this
installation claims its bytes first, so that they may be another's, or those of rows that a restored database has lost.
"""

import logging
import time
from collections.abc import Collection, Mapping
from datetime import timedelta

from sqlalchemy import delete, func, or_, select, tuple_, update

from metadata_api.database.object_tables import StoredObject
from metadata_api.database.session import Sessions
from metadata_api.errors import Unavailable
from metadata_api.objects import ledger
from metadata_api.storage.base import KINDS, ObjectStore

BATCH = 100
# A collector that was stopped between the two steps must not delete what was uploaded again after it.
DELETE_SECONDS = 60.0
# So long after it was condemned another collector deletes it: then the first one does not any more.
ABANDONED = ledger.ABANDONED
log = logging.getLogger(__name__)

Key = tuple[str, str]


def collect(
    sessions: Sessions, stores: Mapping[str, ObjectStore], grace: timedelta, in_use: Collection[str] = ()
) -> int:
    """Delete one batch of what was unreferenced for longer than the grace time; how many objects that were.

    `in_use` are those that somebody uses without a row.
    """
    begin = time.monotonic()
    condemned = _condemn(sessions, grace, in_use)
    gone: list[Key] = []
    stuck: list[Key] = []
    for kind, digest in condemned:
        if time.monotonic() - begin > DELETE_SECONDS:
            log.warning("collecting takes too long: the rest follows in %s", ABANDONED)
            break
        try:
            stores[kind].delete(digest)
        except Unavailable as error:
            log.warning("%s %s cannot be deleted: %s", kind, digest, error.detail)
            stuck.append((kind, digest))
            continue
        gone.append((kind, digest))
    _forget(sessions, gone)
    _postpone(sessions, stuck)
    return len(gone)


def _condemn(sessions: Sessions, grace: timedelta, in_use: Collection[str]) -> list[Key]:
    """First step: say in the ledger what is going to be deleted."""
    condemned: list[Key] = []
    with sessions.begin() as session:
        for kind in KINDS:
            due = (
                select(StoredObject.sha256)
                .where(
                    StoredObject.kind == kind,
                    StoredObject.unreferenced_since <= func.now() - grace,
                    or_(
                        StoredObject.deleting_since.is_(None),
                        StoredObject.deleting_since < func.now() - ABANDONED,
                    ),
                    StoredObject.sha256.not_in(in_use),
                    ~ledger.is_referenced(kind),
                )
                .order_by(StoredObject.unreferenced_since)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            condemned += [(kind, digest) for digest in session.scalars(due)]
        session.execute(
            update(StoredObject)
            .where(tuple_(StoredObject.kind, StoredObject.sha256).in_(condemned))
            .values(deleting_since=func.now())
        )
    return condemned


def _postpone(sessions: Sessions, stuck: list[Key]) -> None:
    """Try those that cannot be deleted again after another grace time, so that they hold up no other.

    They stay condemned, because a bucket may still do what it seemed to reject; see `ledger.claim`.
    """
    if stuck:
        with sessions.begin() as session:
            session.execute(
                update(StoredObject)
                .where(
                    tuple_(StoredObject.kind, StoredObject.sha256).in_(stuck),
                    StoredObject.deleting_since.is_not(None),
                )
                .values(unreferenced_since=func.now())
            )


def _forget(sessions: Sessions, gone: list[Key]) -> None:
    """Second step, once the bytes are gone."""
    with sessions.begin() as session:
        session.execute(
            delete(StoredObject).where(
                tuple_(StoredObject.kind, StoredObject.sha256).in_(gone),
                StoredObject.deleting_since.is_not(None),
            )
        )
