"""A backup under write load, restored into an empty folder: every row has its bytes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from marina_local import backup, folder
from marina_local.errors import LocalError
from marina_local.postgres import delete
from marina_local.settings import LocalSettings
from metadata_api.app import create_app
from metadata_api.database import migrate
from metadata_api.database.session import connect
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from tests import postgres
from tests.metadata_api.making import make_mar
from tests.metadata_api.servers import running
from tests.ports import free_port
from tests.waiting import until

VERSIONS = "/v1/experiments/digits/versions"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    yield from data_folder(tmp_path / "first")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LocalSettings]:
    """Another machine."""
    yield from data_folder(tmp_path / "second")


def data_folder(home: Path) -> Iterator[LocalSettings]:
    made = LocalSettings(home=home, postgres_port=free_port())
    yield made
    delete(made)


@contextmanager
def system(settings: LocalSettings) -> Iterator[httpx.Client]:
    """Database and API of a data folder, as the launcher has them, without what serves."""
    with folder.lock(settings), postgres.running(settings) as (server, _):
        text = postgres.url_of(server).render_as_string(hide_password=False)
        engine = connect(text)
        migrate.upgrade(engine)
        engine.dispose()
        app = create_app(
            Settings(
                auth=Auth(mode="off"),
                database_url=text,
                store_dir=settings.home / "store",
                serving_models_file=settings.models_file,
                serving_url="http://127.0.0.1:9",
            )
        )
        with running(app) as address, httpx.Client(base_url=address, timeout=30) as api:
            yield api


class Writer:
    """Uploads versions, and deletes each third, one after the other; `acknowledged` are the numbers that stay."""

    def __init__(self, api: httpx.Client, folder: Path) -> None:
        self.acknowledged: list[int] = []
        self._api = api
        self._folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        until(lambda: len(self.acknowledged) > 5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            answer = self._api.post(VERSIONS, content=make_mar(self._folder, salt=str(number)))
            version = answer.raise_for_status().json()["version"]
            if version % 3 == 0:
                self._api.delete(f"{VERSIONS}/{version}").raise_for_status()
            else:
                self.acknowledged.append(version)


def checked(api: httpx.Client) -> dict[str, Any]:
    api.post("/v1/fsck", json={}).raise_for_status()

    def finished() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get("/v1/fsck").json()
        return found if found["state"] == "finished" else None

    return until(finished)


def numbers(api: httpx.Client) -> set[int]:
    return {one["version"] for one in api.get(VERSIONS, params={"limit": 200}).json()["items"]}


def test_every_row_of_a_backup_under_write_load_has_its_bytes_after_a_restore(
    settings: LocalSettings, empty: LocalSettings, tmp_path: Path
) -> None:
    to = tmp_path / "backups"
    with system(settings) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        with Writer(api, tmp_path) as writer:
            before = set(writer.acknowledged)
            assert "objects" in backup.back_up(settings, to)
            until(lambda: len(writer.acknowledged) > len(before) + 5, "writes go on")
    said = backup.restore(empty, to, "")
    assert "POST /v1/restore/confirm" in said
    with system(empty) as api:
        restored = numbers(api)
        assert before <= restored, "all that was acknowledged before is in it"
        assert len(restored - set(writer.acknowledged)) <= 1, "one may have been just about to be deleted"
        found = checked(api)
        assert (found["checked"], found["missing"], found["damaged"]) == (len(restored), 0, 0)
        assert api.get("/v1/restore").json()["pending"]
        next_one = api.post(VERSIONS, content=make_mar(tmp_path, salt="next")).json()["version"]
        assert next_one > 1000, "nobody knows which numbers were given after the backup"


@pytest.mark.long
def test_yesterdays_backup_onto_todays_folder_loses_nothing_and_names_every_difference(
    settings: LocalSettings, tmp_path: Path
) -> None:
    to = tmp_path / "backups"
    with system(settings) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        first = api.post(VERSIONS, content=make_mar(tmp_path, salt="1")).json()
        backup.back_up(settings, to)
        second = api.post(VERSIONS, content=make_mar(tmp_path, salt="2")).json()
        with pytest.raises(LocalError, match="make down"):
            backup.restore(settings, to, "")
    (settings.home / "store/artifacts" / first["sha256"][:2] / first["sha256"]).write_bytes(
        b"damaged meanwhile"
    )
    backup.restore(settings, to, "")
    with system(settings) as api:
        assert numbers(api) == {1}
        found = checked(api)
        assert (found["missing"], found["damaged"], found["unreferenced"]) == (0, 0, 1)
        assert (settings.home / "store/artifacts" / second["sha256"][:2] / second["sha256"]).exists()
        assert api.post(VERSIONS, content=make_mar(tmp_path, salt="3")).json()["version"] == 3


@pytest.mark.long
def test_bytes_that_a_backup_lacks_are_named(settings: LocalSettings, tmp_path: Path) -> None:
    with system(settings) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        digest = api.post(VERSIONS, content=make_mar(tmp_path)).json()["sha256"]
        (settings.home / "store/artifacts" / digest[:2] / digest).unlink()
        with pytest.raises(LocalError, match=digest):
            backup.back_up(settings, tmp_path / "backups")


def test_without_a_running_system_there_is_nothing_to_save(settings: LocalSettings, tmp_path: Path) -> None:
    folder.prepare(settings)
    with pytest.raises(LocalError, match="make up"):
        backup.back_up(settings, tmp_path)
    with pytest.raises(LocalError, match="no backup"):
        backup.restore(settings, tmp_path / "nothing", "")
