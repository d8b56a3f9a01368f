"""A copy outside: every object in another bucket, dumps only beside all that they need, and damage repaired from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api import copy_backup
from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from metadata_api.settings.stores import BackupBucket
from metadata_api.storage.copied import copied_stores
from tests.metadata_api.making import make_mar, url_of
from tests.metadata_api.servers import running
from tests.metadata_api.storage.test_s3 import bucket as bucket
from tests.metadata_api.storage.test_s3 import endpoint as endpoint
from tests.waiting import until

VERSIONS = "/v1/experiments/digits/versions"


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    """No other application of this test run sends objects here."""
    return own_engine


@pytest.fixture
def outside(bucket: Any, tmp_path: Path) -> BackupBucket:
    """A bucket for each test, by its prefix."""
    return BackupBucket(**bucket.model_dump(exclude={"prefix"}), prefix=f"backups/{tmp_path.name}")


@pytest.fixture
def api(engine: Engine, clean: None, outside: BackupBucket, tmp_path: Path) -> Iterator[httpx.Client]:
    settings = Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=tmp_path / "store",
        serving_models_file=tmp_path / "models.json",
        serving_url="http://127.0.0.1:9",
        backup=outside,
    )
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
        yield api


def publish(api: httpx.Client, folder: Path) -> dict[str, Any]:
    api.post("/v1/experiments", json={"name": "digits"})
    return dict(api.post(VERSIONS, content=make_mar(folder)).raise_for_status().json())


def dump(folder: Path, digest: str, size: int, day: int = 1) -> str:
    """A dump, as far as this program looks into it, that needs one archive."""
    name = f"marina-2026010{day}T000000Z"
    (folder / f"{name}.manifest").write_text(f"archive {digest} {size}\n")
    (folder / f"{name}.dump").write_bytes(b"dump %d" % day)
    return f"{name}.dump"


def test_what_is_uploaded_is_copied_and_damage_is_repaired_from_the_copy(
    api: httpx.Client, outside: BackupBucket, tmp_path: Path
) -> None:
    version = publish(api, tmp_path)
    copies = copied_stores(outside, tmp_path / "look")
    until(lambda: copies["archive"].exists(version["sha256"]), "it is copied")
    file = tmp_path / "store" / "artifacts" / version["sha256"][:2] / version["sha256"]
    content = file.read_bytes()
    for damage in (lambda: file.write_bytes(b"other"), file.unlink):
        damage()
        answer = api.get(version["download"])
        assert (answer.status_code, answer.content) == (200, content)
        assert file.read_bytes() == content
    assert api.get("/readyz").json()["store"] == {"missing": 0, "damaged": 0}


def test_a_dump_is_sent_once_the_bucket_has_all_that_it_needs(
    api: httpx.Client, outside: BackupBucket, tmp_path: Path
) -> None:
    version = publish(api, tmp_path)
    name = dump(tmp_path, version["sha256"], version["size"])
    assert name in copy_backup.push(outside, tmp_path, 30)
    target = tmp_path / "elsewhere"
    target.mkdir()
    assert name in copy_backup.fetch(outside, target, "")
    assert (target / name).read_bytes() == b"dump 1"
    assert (target / name).with_suffix(".manifest").exists()


def test_a_dump_whose_objects_are_not_there_is_not_sent(outside: BackupBucket, tmp_path: Path) -> None:
    dump(tmp_path, "a" * 64, 1)
    with pytest.raises(OSError, match="archive " + "a" * 64):
        copy_backup.push(outside, tmp_path, 0.2)
    with pytest.raises(OSError, match="no dump"):
        copy_backup.fetch(outside, tmp_path / "none", "")


def test_what_was_broken_already_holds_up_no_dump_and_is_named(
    api: httpx.Client, outside: BackupBucket, tmp_path: Path
) -> None:
    version = publish(api, tmp_path)
    name = dump(tmp_path, version["sha256"], version["size"])
    manifest = (tmp_path / name).with_suffix(".manifest")
    manifest.write_text(f"{manifest.read_text()}input {'a' * 64} 7 damaged\n")
    said = copy_backup.push(outside, tmp_path, 30)
    assert f"input {'a' * 64}" in said
    target = tmp_path / "elsewhere"
    target.mkdir()
    assert name in copy_backup.fetch(outside, target, "")


def test_dumps_of_two_installations_never_mix(outside: BackupBucket, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for number, folder in enumerate((first, second), 1):
        folder.mkdir()
        name = f"marina-2026010{number}T000000Z"
        (folder / f"{name}.manifest").write_text(f"# installation {folder.name}\n")
        (folder / f"{name}.dump").write_bytes(folder.name.encode())
    copy_backup.push(outside, first, 1)
    copy_backup.push(outside, first, 1)
    with pytest.raises(OSError, match="dumps of another installation .* delete backups/.*/installation"):
        copy_backup.push(outside, second, 1)
    apart = outside.model_copy(update={"prefix": f"{outside.prefix}/second"})
    copy_backup.push(apart, second, 1)
    target = tmp_path / "elsewhere"
    target.mkdir()
    copy_backup.fetch(outside, target, "")
    assert [path.read_bytes() for path in target.glob("*.dump")] == [b"first"]


def test_a_dump_of_the_bucket_that_is_newer_than_those_of_the_folder_is_fetched(
    outside: BackupBucket, tmp_path: Path
) -> None:
    store = copied_stores(outside, tmp_path / "send")["archive"]
    store.prepare()
    sha256 = store.put(b"archive")
    first = dump(tmp_path, sha256, 7, day=1)
    second = dump(tmp_path, sha256, 7, day=2)
    copy_backup.push(outside, tmp_path, 30)
    (tmp_path / second).unlink()
    assert second in copy_backup.fetch(outside, tmp_path, "")
    assert "already" in copy_backup.fetch(outside, tmp_path, "")
    (tmp_path / second).unlink()
    away = outside.model_copy(update={"endpoint": "http://127.0.0.1:9"})
    assert first in copy_backup.fetch(away, tmp_path, "")


def test_the_newest_or_the_named_dump_is_fetched_unless_it_is_there(
    outside: BackupBucket, tmp_path: Path
) -> None:
    copied_stores(outside, tmp_path / "send")["archive"].prepare()
    digest = copied_stores(outside, tmp_path / "send")["archive"].put(b"archive")
    first = dump(tmp_path, digest, 7, day=1)
    copy_backup.push(outside, tmp_path, 30)
    second = dump(tmp_path, digest, 7, day=2)
    copy_backup.push(outside, tmp_path, 30)
    target = tmp_path / "elsewhere"
    target.mkdir()
    assert first in copy_backup.fetch(outside, target, first)
    assert "already" in copy_backup.fetch(outside, target, first)
    (target / first).unlink()
    assert second in copy_backup.fetch(outside, target, "")
