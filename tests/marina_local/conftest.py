"""A data folder of its own for each test, with free ports."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from marina_local import postgres
from marina_local.settings import LocalSettings


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that are free now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def settings() -> Iterator[LocalSettings]:
    """Settings of a launcher on an empty data folder, which is deleted afterwards."""
    # Not pytest's tmp_path: that is closed to other users, and Postgres runs as one when we are root.
    home = Path(tempfile.mkdtemp(prefix="marina-test-local-", dir="/tmp"))
    ui, api, serving, database = free_ports(4)
    settings = LocalSettings(
        home=home,
        ui_port=ui,
        api_port=api,
        serving_port=serving,
        postgres_port=database,
        start_seconds=20,
    )
    yield settings
    postgres.delete(settings)
    rmtree(home, ignore_errors=True)
