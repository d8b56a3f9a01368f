"""Files that a request may name: none; and the folder that Gradio has for its own. Called by `app` and `bodies`."""

import json
import os
import stat
from pathlib import Path
from typing import Any

# Gradio reads the folder of its temporary files from here, at every request.
GRADIO_FOLDER = "GRADIO_TEMP_DIR"


class UnusableFolder(Exception):
    """The folder cannot be kept private; the text says why."""


class BadEvent(ValueError):
    """The body of an event is not JSON, or is nested too deeply."""


def prepare(folder: Path) -> None:
    """Make the folder with mode 0700, and have Gradio use it instead of one that all users of a machine share.

    Raises UnusableFolder when it is a link, no folder, or belongs to another user.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise UnusableFolder(f"{folder} is not a folder of this user: set UI_UPLOAD_DIR to another one")
        folder.chmod(0o700)
    except OSError as error:
        raise UnusableFolder(f"{folder} cannot be made: {error.strerror}; set UI_UPLOAD_DIR") from error
    os.environ[GRADIO_FOLDER] = str(folder.resolve())


def read(body: bytes) -> Any:
    """The JSON of an event; raises BadEvent."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEvent("The body is not JSON that is read here.") from error


def names_a_file(event: Any) -> bool:
    """Whether an event names a file anywhere.

    A file is an object with the text `path`: that is how Gradio recognises one, and then reads or fetches it. Pages
    send no object whose names are somebody's data: a column may be called `path`.
    """
    left = [event]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if isinstance(value.get("path"), str):
                return True
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return False
