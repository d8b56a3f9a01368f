"""The store in a bucket, against a real S3 server process."""

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import obstore
import pytest
import yaml
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.errors import OutOfSpace, Unavailable
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from metadata_api.settings.stores import S3
from metadata_api.storage import s3
from metadata_api.storage.s3 import S3Store
from tests.metadata_api.deploying.kserve.stage import CONFIG
from tests.metadata_api.making import make_mar, url_of
from tests.metadata_api.servers import running
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Address of an S3 server with a bucket `marina`."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"

        def bucket_made() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.put(f"{url}/marina", timeout=5).is_success
            return False

        until(bucket_made, "the S3 server starts", 60)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> S3:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "AWS_ACCESS_KEY_ID").write_text("key\n")
    (folder / "AWS_SECRET_ACCESS_KEY").write_text("secret\n")
    return S3(bucket="marina", endpoint=endpoint, credentials_dir=folder)


@pytest.fixture
def store(bucket: S3, tmp_path: Path) -> S3Store:
    store = S3Store(bucket, tmp_path / "incoming", prefix="artifacts", ending=".mar")
    store.prepare()
    return store


def keys(store: S3Store) -> list[str]:
    """Every key in the bucket."""
    return [one["path"] for one in obstore.list(store._bucket).collect()]


def test_what_is_put_is_read_back_under_its_sha256(store: S3Store) -> None:
    digest = store.put(b"weights")
    assert digest == hashlib.sha256(b"weights").hexdigest()
    assert (store.read(digest), store.exists(digest)) == (b"weights", True)
    assert f"artifacts/{digest}.mar" in keys(store)


def test_a_large_upload_goes_in_parts_and_comes_back_whole(store: S3Store) -> None:
    content = bytes(range(256)) * 4096 * 20 + b"end"
    with store.temporary() as path:
        path.write_bytes(content)
        digest = store.adopt(path)
    assert len(content) > 2 * s3.PART_BYTES
    assert hashlib.sha256(b"".join(store.stream(digest))).hexdigest() == digest
    assert list((path.parent).iterdir()) == []


def test_what_was_never_stored_is_missing(store: S3Store) -> None:
    digest = hashlib.sha256(b"never stored").hexdigest()
    assert not store.exists(digest)
    with pytest.raises(Unavailable, match="lacks"):
        store.read(digest)


def test_bytes_that_were_changed_are_not_given_out(store: S3Store) -> None:
    digest = store.put(b"right")
    obstore.put(store._bucket, store._key(digest), b"wrong")
    with pytest.raises(Unavailable) as caught:
        store.read(digest)
    assert caught.value.code == "artifact_damaged"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64])
def test_only_a_sha256_names_an_object(store: S3Store, name: str) -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        store.read(name)


def test_a_server_that_is_away_is_a_503_in_time(tmp_path: Path) -> None:
    away = S3(bucket="marina", endpoint=f"http://127.0.0.1:{free_port()}", credentials_dir=tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        (tmp_path / name).write_text("x")
    store = S3Store(away, tmp_path / "incoming", prefix="artifacts", ending=".mar")
    start = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        store.put(b"x")
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    assert time.monotonic() - start < 20


def test_a_bucket_that_is_not_there_is_a_503(bucket: S3, tmp_path: Path) -> None:
    missing = bucket.model_copy(update={"bucket": "unknown"})
    store = S3Store(missing, tmp_path / "incoming", prefix="artifacts", ending=".mar")
    with pytest.raises(Unavailable):
        store.put(b"x")


def test_a_bucket_that_is_full_is_a_507(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_: object, **__: object) -> None:
        raise obstore.exceptions.GenericError("status 507 Insufficient Storage: XMinioStorageFull")

    monkeypatch.setattr(obstore, "put", reject)
    with pytest.raises(OutOfSpace) as caught:
        store.put(b"more")
    assert (caught.value.status, caught.value.code) == (507, "store_full")


def test_an_api_with_a_bucket_keeps_archives_there_and_streams_them(
    bucket: S3, store: S3Store, engine: Engine, clean: None, tmp_path: Path
) -> None:
    (tmp_path / "kserve.yaml").write_text(yaml.safe_dump({**CONFIG, "artifact_url": "s3://marina/artifacts"}))
    settings = Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=tmp_path / "store",
        s3=bucket,
        deployer="kserve",
        kserve_file=tmp_path / "kserve.yaml",
        kubernetes_url="http://127.0.0.1:9",
    )
    archive = make_mar(tmp_path)
    with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
        api.post("/v1/experiments", json={"name": "digits"}).raise_for_status()
        made = api.post("/v1/experiments/digits/versions", content=archive)
        assert made.status_code == 201
        digest = made.json()["sha256"]
        assert f"artifacts/{digest}.mar" in keys(store)
        head = api.head(made.json()["download"])
        got = api.get(made.json()["download"])
        assert hashlib.sha256(got.content).hexdigest() == digest
        assert (got.headers["etag"], got.headers["content-type"]) == (
            f'"{digest}"',
            "application/octet-stream",
        )
        assert int(head.headers["content-length"]) == len(got.content)
