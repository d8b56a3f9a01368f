"""A store, its ledger and its collector on a database of their own."""

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from metadata_api.database.session import Sessions
from metadata_api.objects import ledger
from metadata_api.objects.repair import RepairedStore
from metadata_api.storage.base import KINDS
from metadata_api.storage.folder import FolderStore


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    """No application of this test run collects here."""
    return own_engine


@pytest.fixture
def copy(tmp_path: Path) -> FolderStore:
    """The second source of bytes."""
    copy = FolderStore(tmp_path / "copy")
    copy.prepare()
    return copy


@pytest.fixture
def stores(sessions: Sessions, copy: FolderStore, tmp_path: Path) -> dict[str, RepairedStore]:
    """Those of the application, in folders."""
    found = {}
    for kind in KINDS:
        store = FolderStore(tmp_path / kind)
        store.prepare()
        found[kind] = RepairedStore(store, copy, partial(ledger.note, sessions, kind))
    return found


@pytest.fixture
def images(stores: dict[str, RepairedStore]) -> RepairedStore:
    return stores[ledger.INPUT]
