"""The content-addressed store: whole objects or none."""

import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metadata_api.errors import OutOfSpace, Unavailable
from metadata_api.storage.folder import FolderStore


def test_what_is_put_is_read_back_under_its_sha256(store: FolderStore) -> None:
    digest = store.put(b"pixels")
    assert digest == hashlib.sha256(b"pixels").hexdigest()
    assert store.read(digest) == b"pixels"


def test_the_same_bytes_are_stored_once(store: FolderStore) -> None:
    assert store.put(b"same") == store.put(b"same")
    assert len([path for path in store.root.rglob("*") if path.is_file()]) == 1


def test_a_temporary_file_that_is_not_adopted_disappears(store: FolderStore) -> None:
    with store.temporary() as path:
        path.write_bytes(b"half")
    assert list(store.partial.iterdir()) == []


def test_what_an_interrupted_upload_left_is_removed_at_a_later_start(store: FolderStore) -> None:
    for name, age in {"old": 7 * 3600, "young": 60}.items():
        (store.partial / name).write_bytes(b"half")
        os.utime(store.partial / name, (time.time() - age,) * 2)
    store.prepare()
    assert [path.name for path in store.partial.iterdir()] == ["young"]


def test_a_full_disk_is_its_own_error_and_leaves_nothing(store: FolderStore) -> None:
    def write_on_a_full_disk() -> None:
        with store.temporary() as path:
            path.write_bytes(b"some")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutOfSpace, match="Free space"):
        write_on_a_full_disk()
    assert list(store.partial.iterdir()) == []


@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: (path.mkdir(), (path / "x").write_text("x"))]
)
def test_what_is_no_file_in_the_place_of_an_object_is_damage_that_is_mended(
    store: FolderStore, make: Callable[[Path], object]
) -> None:
    path = store.path(store.put(b"pixels"))
    path.unlink()
    make(path)
    for read in (store.read, store.local, lambda digest: list(store.stream(digest))):
        with pytest.raises(Unavailable, match="other bytes") as told:
            read(path.name)
        assert told.value.code == "artifact_damaged"
    assert [one.sha256 for one in store.objects()] == [path.name]
    assert store.put(b"pixels") == path.name
    assert store.read(path.name) == b"pixels"


def test_what_file_servers_leave_everywhere_is_passed_over(store: FolderStore) -> None:
    digest = store.put(b"pixels")
    for name in ("ab", ".DS_Store", "partial/link", f"{digest[:2]}/{digest}.aside"):
        (store.root / name).symlink_to("/nowhere")
    (store.root / "partial" / "@eaDir").mkdir()
    os.utime(store.root / "partial" / "@eaDir", (0, 0))
    store.prepare()
    assert [one.sha256 for one in store.objects()] == [digest]


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63])
def test_only_a_sha256_names_an_object(store: FolderStore, name: str) -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        store.path(name)


@pytest.mark.parametrize("read", [FolderStore.read, lambda store, digest: list(store.stream(digest))])
def test_what_cannot_be_read_is_told_without_its_path(
    store: FolderStore, read: Callable[[FolderStore, str], object]
) -> None:
    missing, circle = "0" * 64, "1" * 64
    store.path(circle).parent.mkdir()
    store.path(circle).symlink_to(store.path(circle))
    for digest, code in {missing: "artifact_missing", circle: "store_unavailable"}.items():
        with pytest.raises(Unavailable, match=digest) as raised:
            read(store, digest)
        assert raised.value.code == code
        assert str(store.root) not in raised.value.detail


def test_other_bytes_than_those_of_the_name_are_not_read(store: FolderStore) -> None:
    digest = store.put(b"pixels")
    store.path(digest).write_bytes(b"pixelt")
    with pytest.raises(Unavailable, match="other bytes"):
        store.read(digest)
