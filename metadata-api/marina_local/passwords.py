"""Files with a random password each: made once, whole, private and on the disk before anybody uses them."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def random() -> str:
    """A new password."""
    return secrets.token_urlsafe(24)


def ensure(path: Path, new: Callable[[], str] = random) -> None:
    """Make the file, with what `new` gives, unless there is one with something in it."""
    if path.exists() and path.stat().st_size > 0:
        return
    _put(_write(path, new), path)


def renew(path: Path, tell: Callable[[str], None]) -> None:
    """Make the file with a new password, which `tell` hands to the server; what that raises is passed on.

    The file gets its name only then, so that a crash in between is repaired by the next call.
    """
    new = _write(path, random)
    tell(new.read_text())
    _put(new, path)


def _write(path: Path, text: Callable[[], str]) -> Path:
    """A file beside `path` with a new text, readable by its owner only."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text())
        file.flush()
        os.fsync(file.fileno())
    return new


def _put(new: Path, path: Path) -> None:
    """Give the file its name; returns when it would survive a power cut."""
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
