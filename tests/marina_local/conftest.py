"""A data folder of its own for each test, with free ports."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from marina_local import postgres
from marina_local.settings import LocalSettings
from tests.ports import free_port


@pytest.fixture
def settings() -> Iterator[LocalSettings]:
    """Settings of a launcher on an empty data folder, which is deleted afterwards."""
    # Not pytest's tmp_path: that is closed to other users, and Postgres runs as one when we are root.
    home = Path(tempfile.mkdtemp(prefix="marina-test-local-", dir="/tmp"))
    settings = LocalSettings(
        home=home,
        ui_port=free_port(),
        api_port=free_port(),
        serving_port=free_port(),
        postgres_port=free_port(),
        start_seconds=20,
    )
    yield settings
    postgres.delete(settings)
    rmtree(home, ignore_errors=True)
