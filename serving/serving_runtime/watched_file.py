"""A file that another process replaces: read again when it has changed."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

_Content = TypeVar("_Content")


class WatchedFile(Generic[_Content]):
    """What `parse` makes of a file's bytes, whenever the file is another than the one that was read last."""

    def __init__(self, path: Path, parse: Callable[[bytes], _Content]) -> None:
        self.path = path
        self._parse = parse
        self._read: tuple[int, int, int] | None = None

    def changed(self) -> _Content | None:
        """What is in the file now; None while it is the one that was read last.

        Raises FileNotFoundError once the file is gone, other OSErrors, ValueError for what is no regular file, and what
        `parse` raises. After any of them the next call reads the file, whether it has changed or not.
        """
        try:
            status = self.path.stat()
            # A pipe would block the reader.
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is no regular file")
            found = (status.st_mtime_ns, status.st_ino, status.st_size)
            if found == self._read:
                return None
            content = self._parse(self.path.read_bytes())
        except Exception:
            self._read = None
            raise
        self._read = found
        return content
