"""A content-addressed store in a folder of this machine."""

import errno
import hashlib
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from metadata_api.errors import OutOfSpace, Unavailable
from metadata_api.storage.base import DIGEST, StoredBytes, checked

LEFTOVER_SECONDS = 6 * 3600
PART_BYTES = 1024 * 1024
# A file that was read whole and is unchanged by its dates and size is trusted for so long: disks forget bits, too.
TRUSTED_SECONDS = 3600.0
TRUSTED_FILES = 1000
log = logging.getLogger(__name__)


class FolderStore:
    """Objects that never change: written to a temporary name, synced, then renamed into place.

    A reader therefore sees a whole object or none, also after a power cut, and two writers of the
    same bytes end with one object. `free_bytes` of the disk are left free; half of them may be filled for a while by
    what is only received, so that bytes that are missing or damaged can be sent again on a disk that is nearly full.
    """

    def __init__(self, root: Path, free_bytes: int = 0) -> None:
        self.root = root
        self._free_bytes = free_bytes
        self.partial = root / "partial"
        self._trusted: dict[str, tuple[tuple[int, ...], float]] = {}

    def prepare(self) -> None:
        """Make the folders and remove partial files of uploads that were interrupted long ago.

        What is younger may belong to another replica that is just receiving it.
        """
        self.partial.mkdir(parents=True, exist_ok=True)
        for leftover in self.partial.iterdir():
            # Also another replica's at the same time, and folders that file servers make everywhere.
            with suppress(OSError):
                if time.time() - leftover.lstat().st_mtime > LEFTOVER_SECONDS:
                    leftover.unlink()

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """A path on the store's own file system to write to; removed at the end unless adopted.

        Raises OutOfSpace as `require_room` does for what is received.
        """
        self.require_room(incoming=True)
        path = self.partial / secrets.token_hex(16)
        try:
            yield path
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfSpace(
                    "disk_full", "The store's disk is full; nothing was stored. Free space."
                ) from error
            raise
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    def require_room(self, *, incoming: bool = False) -> None:
        """Raise OutOfSpace when the disk is so full that a database beside it would be next.

        `incoming` is for bytes of which nobody knows yet whether they are stored already.
        """
        wanted = self._free_bytes // 2 if incoming else self._free_bytes
        if wanted and shutil.disk_usage(self.partial).free < wanted:
            raise OutOfSpace(
                "disk_nearly_full",
                f"The store's disk has less than {wanted:,} free bytes, which are left for the database; "
                "nothing was stored. Free space, lower METADATA_API_RETENTION_PREDICTIONS_DAYS or "
                "METADATA_API_RETENTION_INPUTS_BYTES, or delete versions.",
            )

    def adopt(self, path: Path) -> str:
        """Take a finished temporary file in; returns its sha256."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        target = self.path(digest)
        target.parent.mkdir(exist_ok=True)
        with suppress(OSError):
            if target.is_dir():
                target.rename(target.with_name(f"{digest}.aside-{secrets.token_hex(4)}"))
        os.replace(path, target)
        _sync_folder(target.parent)
        _sync_folder(self.root)
        return digest

    def put(self, data: bytes) -> str:
        """Store bytes; returns their sha256. Those that are there already are written again only when damaged."""
        digest = hashlib.sha256(data).hexdigest()
        with suppress(Unavailable):
            self.read(digest)
            return digest
        if not self.exists(digest):
            self.require_room()
        with self.temporary() as path:
            path.write_bytes(data)
            return self.adopt(path)

    def path(self, digest: str) -> Path:
        """Where the object with this sha256 is or would be."""
        return self.root / checked(digest)[:2] / digest

    def local(self, digest: str) -> Path | None:
        """Where the object is; raises Unavailable when it is missing, unreadable or other bytes."""
        path = self.path(digest)
        with _readable(digest):
            found = path.stat()
            mark = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            known = self._trusted.get(digest)
            if known is None or known[0] != mark or time.monotonic() - known[1] > TRUSTED_SECONDS:
                for _ in self.stream(digest):
                    pass
                if len(self._trusted) >= TRUSTED_FILES:
                    self._trusted.clear()
                self._trusted[digest] = mark, time.monotonic()
        return path

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        """All bytes of an object; raises Unavailable when they are missing, unreadable or other bytes."""
        return b"".join(self.stream(digest))

    def stream(self, digest: str) -> Iterator[bytes]:
        """An object part by part, checked when the last one is there; raises as `read` does."""
        seen = hashlib.sha256()
        with _readable(digest), _opened(self.path(digest)) as file:
            while part := file.read(PART_BYTES):
                seen.update(part)
                yield part
        if seen.hexdigest() != digest:
            raise _damaged(digest)

    def delete(self, digest: str) -> None:
        """Delete an object; nothing happens when it is gone."""
        path = self.path(digest)
        with _readable(digest), suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    def objects(self, after: str = "") -> Iterator[StoredBytes]:
        """All objects in the order of their sha256, those after one if given."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]/")):
            if folder.name < after[:2]:
                continue
            for name in sorted(os.listdir(folder)):
                if name <= after or not DIGEST.match(name):
                    continue
                try:
                    size = (folder / name).lstat().st_size
                except FileNotFoundError:
                    continue
                yield StoredBytes(name, size)


@contextmanager
def _readable(digest: str) -> Iterator[None]:
    """What goes wrong with an object's file, as callers may see it: without its path."""
    try:
        yield
    except FileNotFoundError as error:
        raise Unavailable("artifact_missing", f"The store lacks {digest}. Restore it.") from error
    except IsADirectoryError as error:
        raise _damaged(digest) from error
    except OSError as error:
        log.error("reading %s failed: %s", digest, error.strerror)
        raise Unavailable(
            "store_unavailable", f"The store cannot read {digest}. Look at its disk."
        ) from error


def _damaged(digest: str) -> Unavailable:
    log.error("the store has other bytes under %s", digest)
    return Unavailable("artifact_damaged", f"The store has other bytes for {digest}. Restore it.")


def _opened(path: Path) -> BinaryIO:
    """A file to read; IsADirectoryError also for a pipe or a device, of which nobody knows when it ends."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise IsADirectoryError(errno.EISDIR, "it is no regular file", str(path))
    return os.fdopen(handle, "rb")


def _sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
