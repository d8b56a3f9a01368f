"""A test run leaves nothing of Postgres outside its folder, and the next one clears up after a killed one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marina_local import aside, folder
from marina_local.settings import LocalSettings
from tests import leftovers
from tests.conftest import launched

KILLED = """
import os, sys
from pathlib import Path
from marina_local import folder
from marina_local.postgres import Postgres
from marina_local.settings import LocalSettings
settings = LocalSettings(home=Path(sys.argv[1]))
with folder.lock(settings):
    Postgres(settings).prepare()
    os.kill(os.getpid(), 9)
"""

IS_ROOT = os.geteuid() == 0  # pytest's folder is closed to the user to whom root hands Postgres


def cluster(home: Path) -> Path:
    """Where Postgres has the data of a data folder: outside of it for root, else in it."""
    return (aside.of(home) if IS_ROOT else home) / "postgres" / "data"


def places(home: Path) -> list[Path]:
    """Folders of Postgres that belong to data folders below this one; other test runs may have theirs."""
    return [place for place, other in leftovers.found().items() if other.is_relative_to(home)]


def test_the_system_that_tests_start_leaves_no_cluster(tmp_path: Path) -> None:
    before = set(aside.PARENT.glob("marina-*"))
    home = tmp_path / ".marina"
    with launched(home, until="postgres  ready"):
        assert cluster(home).exists()
        assert places(tmp_path) == ([aside.of(home)] if IS_ROOT else [])
        assert aside.of(home) not in before
    assert not cluster(home).exists()
    assert places(tmp_path) == []
    assert aside.of(home) not in set(aside.PARENT.glob("marina-*"))


def test_what_a_killed_test_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home)], timeout=120, check=False)
    assert killed.returncode == -9
    assert (cluster(home) / "PG_VERSION").exists()
    if not IS_ROOT:
        assert places(tmp_path) == [], "all of it is in the folder that pytest removes"
        return
    with folder.lock(LocalSettings(home=home)):
        leftovers.remove()
        assert places(tmp_path) == [aside.of(home)], "a run that still uses it keeps it"
    leftovers.remove()
    assert places(tmp_path) == []
    assert not aside.of(home).exists()


def test_the_data_of_a_person_is_no_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PARENT", tmp_path)
    place = aside.make(Path("/root/closed/.marina"))
    leftovers.remove()
    assert place.exists()
