"""Stored inputs for tests, by the steps that an upload takes."""

import hashlib
from pathlib import Path

from metadata_api.database.object_tables import StoredObject
from metadata_api.database.prediction_tables import Input
from metadata_api.database.session import Sessions
from metadata_api.objects import ledger
from metadata_api.objects.repair import RepairedStore
from metadata_api.storage.folder import FolderStore


def claim(sessions: Sessions, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    ledger.claim(sessions, ledger.INPUT, digest, len(data))
    return digest


def keep(sessions: Sessions, digest: str) -> None:
    with sessions.begin() as session:
        session.add(Input(sha256=digest, kind="text", media_type="text/plain", size=1))
        session.flush()
        ledger.keep(session, ledger.INPUT, digest)


def orphan(sessions: Sessions, store: RepairedStore, data: bytes) -> str:
    """An image without its row: claimed and stored."""
    claim(sessions, data)
    return store.put(data)


def upload(sessions: Sessions, store: RepairedStore, data: bytes) -> str:
    """An image with its row, all three steps."""
    digest = orphan(sessions, store, data)
    keep(sessions, digest)
    return digest


def delete(sessions: Sessions, digest: str) -> None:
    with sessions.begin() as session:
        session.delete(session.get_one(Input, digest))
        ledger.release(session, ledger.INPUT, [digest])


def file_of(store: RepairedStore, digest: str) -> Path:
    assert isinstance(store.first, FolderStore)
    return store.first.path(digest)


def entry(sessions: Sessions, digest: str) -> StoredObject | None:
    with sessions() as session:
        return session.get(StoredObject, (ledger.INPUT, digest))
