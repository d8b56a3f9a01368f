"""A file that another process replaces is read once after each change, and only when it is a file."""

import os
from pathlib import Path

import pytest

from serving_runtime.watched_file import WatchedFile


@pytest.fixture
def watched(tmp_path: Path) -> WatchedFile[int]:
    """A file with a number in it, which is there and was read."""
    path = tmp_path / "number"
    path.write_text("1")
    file = WatchedFile(path, int)
    assert file.changed() == 1
    return file


def replace(file: WatchedFile[int], text: str) -> None:
    new = file.path.with_suffix(".new")
    new.write_text(text)
    new.replace(file.path)


def test_what_has_not_changed_is_not_read_again(watched: WatchedFile[int]) -> None:
    assert watched.changed() is None


def test_what_takes_its_place_is_read_even_if_it_looks_the_same(watched: WatchedFile[int]) -> None:
    before = watched.path.stat()
    replace(watched, "2")
    os.utime(watched.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert watched.changed() == 2
    assert watched.changed() is None


def test_what_cannot_be_read_is_an_error_until_it_can(watched: WatchedFile[int]) -> None:
    replace(watched, "none")
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            watched.changed()
    replace(watched, "3")
    assert watched.changed() == 3


def test_one_that_has_gone_and_come_back_is_read(watched: WatchedFile[int]) -> None:
    kept = watched.path.rename(watched.path.with_suffix(".old"))
    with pytest.raises(FileNotFoundError):
        watched.changed()
    kept.rename(watched.path)
    assert watched.changed() == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "strange")
    with pytest.raises(ValueError, match="no regular file"):
        WatchedFile(tmp_path / "strange", int).changed()
