"""What a content-addressed store does: archives and inputs live in one under the sha256 of their bytes."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

KINDS = ("archive", "input")
"""What is stored, each kind in a store of its own."""
DIGEST = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """An object as a listing of the store shows it."""

    sha256: str
    size: int


class ObjectStore(Protocol):
    """What the API needs of a store. The methods wait for disks or the network: never call one in a session."""

    def prepare(self) -> None:
        """Make what has to be there before the first upload."""

    def temporary(self) -> AbstractContextManager[Path]:
        """A path on this machine to write to; removed at the end unless adopted."""

    def require_room(self, *, incoming: bool = False) -> None:
        """Raise OutOfSpace when this machine's disk is nearly full; half as soon for bytes that are only received."""

    def adopt(self, path: Path) -> str:
        """Take a finished temporary file in; returns its sha256."""

    def put(self, data: bytes) -> str:
        """Store bytes; returns their sha256."""

    def local(self, digest: str) -> Path | None:
        """The object as a file of this machine, if that is what it is; raises Unavailable as `read` does."""

    def exists(self, digest: str) -> bool:
        """Whether the object is there."""

    def read(self, digest: str) -> bytes:
        """All bytes of an object; raises Unavailable when they are missing or other bytes."""

    def stream(self, digest: str) -> Iterator[bytes]:
        """All bytes of an object, part by part; raises Unavailable as `read` does, perhaps only after the last."""

    def delete(self, digest: str) -> None:
        """Delete an object; nothing happens when it is gone."""

    def objects(self, after: str = "") -> Iterator[StoredBytes]:
        """All objects in the order of their sha256, those after one if given."""


def transfer(digest: str, source: ObjectStore, target: ObjectStore) -> bool:
    """Copy an object to another store; whether what arrived are its bytes. Raises as both stores do."""
    with target.temporary() as path:
        with path.open("wb") as file:
            for part in source.stream(digest):
                file.write(part)
        return target.adopt(path) == digest


def checked(digest: str) -> str:
    """The digest itself; raises ValueError when it is none, so that it can be part of a path."""
    if not DIGEST.match(digest):
        raise ValueError(f"not a sha256: {digest!r}")
    return digest
