"""A backup under write load, restored into an empty folder: every row has its bytes."""

import hashlib
import shutil
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
from metadata_api import copy_backup
from metadata_api.app import create_app
from metadata_api.database import migrate
from metadata_api.database.session import connect
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from metadata_api.settings.stores import S3, BackupBucket
from tests import postgres
from tests.metadata_api.making import make_mar
from tests.metadata_api.servers import running
from tests.metadata_api.storage.test_s3 import bucket as bucket
from tests.metadata_api.storage.test_s3 import endpoint as endpoint
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


@pytest.fixture
def outside(bucket: S3) -> BackupBucket:
    """A bucket for backups."""
    return BackupBucket(**bucket.model_dump(exclude={"prefix"}), prefix="backups")


@contextmanager
def system(settings: LocalSettings, outside: BackupBucket | None = None) -> Iterator[httpx.Client]:
    """Database and API of a data folder, as the launcher has them, without what serves; `outside` has the copy."""
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
                backup=outside,
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


def checked(api: httpx.Client, *, repair: bool = False) -> dict[str, Any]:
    api.post("/v1/fsck", json={"repair": repair}).raise_for_status()

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
def test_every_row_of_a_backup_in_a_bucket_has_its_bytes_in_an_empty_system(
    settings: LocalSettings, empty: LocalSettings, outside: BackupBucket, tmp_path: Path
) -> None:
    to, fetched = tmp_path / "backups", tmp_path / "fetched"
    fetched.mkdir()
    with system(settings, outside) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        with Writer(api, tmp_path) as writer:
            before = set(writer.acknowledged)
            backup.back_up(settings, to)
            copy_backup.push(outside, to, 120)
            until(lambda: len(writer.acknowledged) > len(before) + 5, "writes go on")
    copy_backup.fetch(outside, fetched, "")
    with pytest.raises(LocalError, match="these bytes are nowhere"):
        backup.restore(empty, fetched, "")
    with system(empty, outside) as api:
        restored = numbers(api)
        assert before <= restored, "all that was acknowledged before is in it"
        found = checked(api, repair=True)
        assert (found["missing"], found["repaired"], found["damaged"]) == (len(restored), len(restored), 0)
        found = checked(api)
        assert (found["checked"], found["missing"], found["damaged"]) == (len(restored), 0, 0)
        for one in api.get(VERSIONS, params={"limit": 200}).json()["items"]:
            assert hashlib.sha256(api.get(one["download"]).content).hexdigest() == one["sha256"]
        assert api.get("/v1/restore").json()["pending"]


@pytest.mark.long
@pytest.mark.parametrize("with_bytes", [True, False], ids=["with its bytes", "the dump alone"])
def test_yesterdays_backup_onto_todays_folder_loses_nothing_and_names_every_difference(
    settings: LocalSettings, tmp_path: Path, with_bytes: bool
) -> None:
    to = tmp_path / "backups"
    with system(settings) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        uploads = [
            api.post(VERSIONS, content=make_mar(tmp_path, salt=str(number))).json() for number in (1, 2, 3)
        ]
        backup.back_up(settings, to)
        later = [api.post(VERSIONS, content=make_mar(tmp_path, salt=str(number))).json() for number in (4, 5)]
        with pytest.raises(LocalError, match="make down"):
            backup.restore(settings, to, "")
    whole, damaged, gone = (file_of(settings, one) for one in uploads)
    damaged.write_bytes(b"damaged meanwhile")
    gone.unlink()  # deleted and collected meanwhile
    if with_bytes:
        backup.restore(settings, to, "")
    else:
        shutil.rmtree(to / "objects")
        with pytest.raises(LocalError, match=damaged.name):
            backup.restore(settings, to, "")
    with system(settings) as api:
        assert numbers(api) == {1, 2, 3}
        found = checked(api)
        differences = {one.name: "unknown" for one in (file_of(settings, version) for version in later)}
        if not with_bytes:
            differences |= {damaged.name: "damaged", gone.name: "missing"}
        assert {one["sha256"]: one["problem"] for one in found["findings"]} == differences
        assert all(file_of(settings, version).exists() for version in later)
        assert whole.exists()
        assert api.post(VERSIONS, content=make_mar(tmp_path, salt="6")).json()["version"] == 6


def file_of(settings: LocalSettings, version: dict[str, Any]) -> Path:
    digest = version["sha256"]
    return settings.home / "store" / "artifacts" / digest[:2] / digest


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
