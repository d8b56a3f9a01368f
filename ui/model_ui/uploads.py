"""The folder of uploaded files, and which files a request may name; `app.create_app` and `guard` call it."""

import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Gradio reads the folder of its temporary files from here, at every request.
GRADIO_FOLDER = "GRADIO_TEMP_DIR"


class UnusableFolder(Exception):
    """The folder cannot keep uploads private; the text says why."""


class BadEvent(ValueError):
    """The body of an event is not JSON, or is nested too deeply."""


def prepare(folder: Path, keep_seconds: float) -> Path:
    """Make the upload folder with mode 0700, delete what is older than `keep_seconds`, and have Gradio use it.

    Returns its real path; raises UnusableFolder when it is a link, no folder, or belongs to another user.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise UnusableFolder(f"{folder} is not a folder of this user: set UI_UPLOAD_DIR to another one")
        folder.chmod(0o700)
    except OSError as error:
        raise UnusableFolder(f"{folder} cannot be made: {error.strerror}; set UI_UPLOAD_DIR") from error
    folder = folder.resolve()
    _delete_old(folder, time.time() - keep_seconds)
    os.environ[GRADIO_FOLDER] = str(folder)
    return folder


def names_only_uploads(body: bytes, folder: Path) -> bool:
    """Whether every file that the JSON of an event names lies in the upload folder; raises BadEvent.

    A file is an object with the text `path`: that is how Gradio recognises one. Addresses of other servers, which
    Gradio would fetch, are in no folder.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEvent("The body is not JSON that is read here.") from error
    return all(_inside(path, folder) for path in _paths(event))


def _paths(event: Any) -> Iterator[str]:
    """Paths of all files in a JSON value of any depth."""
    left = [event]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if isinstance(path := value.get("path"), str):
                yield path
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _inside(path: str, folder: Path) -> bool:
    try:
        return Path(os.path.realpath(path)).is_relative_to(folder)
    except (ValueError, OSError):
        # A NUL, half a surrogate pair, or a name that is too long.
        return False


def _delete_old(folder: Path, before: float) -> None:
    """Delete files of a process that was killed; one that ends deletes its own."""
    for path in folder.rglob("*"):
        try:
            if not path.is_dir() and path.lstat().st_mtime < before:
                path.unlink()
        except FileNotFoundError:
            # Another process of the same user was faster.
            continue
