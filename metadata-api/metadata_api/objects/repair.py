"""A store whose objects are checked as they are read, repaired from a second source, and said to be broken otherwise.

It stands between the application and a store. The second source is the copy of the store, where there is one.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from metadata_api.errors import MarinaError, Unavailable
from metadata_api.storage.base import ObjectStore, StoredBytes, transfer

PROBLEMS = {"artifact_missing": "missing", "artifact_damaged": "damaged"}
"""What makes an object unusable, by the code of the error that says so."""
Note = Callable[[str, str | None], None]
log = logging.getLogger(__name__)


class RepairedStore:
    """An ObjectStore of the bytes in `first`.

    Args:
        copy: where the bytes of a broken object may be, or None.
        note: writes down what is wrong with an object, or None when it was repaired.
    """

    def __init__(self, first: ObjectStore, copy: ObjectStore | None, note: Note) -> None:
        self.first = first
        self.copy = copy
        """The second source."""
        self._write = note

    def prepare(self) -> None:
        """Make what has to be there before the first upload."""
        self.first.prepare()
        if self.copy is not None:
            self.copy.prepare()

    def temporary(self) -> AbstractContextManager[Path]:
        """A path on this machine to write to; removed at the end unless adopted."""
        return self.first.temporary()

    def require_room(self, *, incoming: bool = False) -> None:
        """Raise OutOfSpace when this machine's disk is nearly full; half as soon for bytes that are only received."""
        self.first.require_room(incoming=incoming)

    def adopt(self, path: Path) -> str:
        """Take a finished temporary file in; returns its sha256."""
        return self.first.adopt(path)

    def put(self, data: bytes) -> str:
        """Store bytes; returns their sha256."""
        return self.first.put(data)

    def exists(self, digest: str) -> bool:
        """Whether the object is there, whatever its bytes are."""
        return self.first.exists(digest)

    def require(self, digest: str) -> None:
        """Raise Unavailable when an object is missing and nowhere else; its bytes are not looked at."""
        if not self.first.exists(digest):
            self._mend(digest, Unavailable("artifact_missing", f"The store lacks {digest}. Restore it."))

    def delete(self, digest: str) -> None:
        """Delete an object; nothing happens when it is gone."""
        self.first.delete(digest)

    def objects(self, after: str = "") -> Iterator[StoredBytes]:
        """All objects by their sha256, or those after one."""
        return self.first.objects(after)

    def read(self, digest: str) -> bytes:
        """All bytes of an object; raises Unavailable when they are missing or damaged and nowhere else."""
        try:
            return self.first.read(digest)
        except Unavailable as error:
            self._mend(digest, error)
        return self.first.read(digest)

    def stream(self, digest: str) -> Iterator[bytes]:
        """All bytes of an object, part by part; raises as `read` does, for a large one after its last part."""
        began = False
        try:
            for part in self.first.stream(digest):
                began = True
                yield part
        except Unavailable as error:
            self._mend(digest, error)
            if began:
                # What was sent cannot be taken back, but the next one gets the right bytes.
                raise
            yield from self.first.stream(digest)

    def local(self, digest: str) -> Path | None:
        """The object as a file of this machine with the right bytes, if that is what it is; raises as `read` does."""
        try:
            return self.first.local(digest)
        except Unavailable as error:
            self._mend(digest, error)
        return self.first.local(digest)

    def check(self, digest: str, *, repair: bool) -> tuple[str | None, bool]:
        """Read all of an object: what is wrong with it, if anything, and whether it was repaired."""
        try:
            for _ in self.first.stream(digest):
                pass
        except Unavailable as error:
            if error.code not in PROBLEMS:
                raise
            if repair and self._is_mended(digest):
                return PROBLEMS[error.code], True
            self._note(digest, PROBLEMS[error.code])
            return PROBLEMS[error.code], False
        self._note(digest, None)
        return None, False

    def _mend(self, digest: str, error: Unavailable) -> None:
        """Repair an object whose reading failed, or raise what it failed with."""
        if error.code not in PROBLEMS:
            raise error
        if not self._is_mended(digest):
            self._note(digest, PROBLEMS[error.code])
            raise error

    def _is_mended(self, digest: str) -> bool:
        if self.copy is None:
            return False
        try:
            if not transfer(digest, self.copy, self.first):
                return False
        except (MarinaError, OSError) as error:
            log.warning("%s cannot be repaired from the copy: %s", digest, error)
            return False
        log.warning("%s was repaired from the copy", digest)
        self._note(digest, None)
        return True

    def _note(self, digest: str, problem: str | None) -> None:
        try:
            self._write(digest, problem)
        except SQLAlchemyError as error:
            log.warning("the problem of %s is not written down: %s", digest, str(error).splitlines()[0])
