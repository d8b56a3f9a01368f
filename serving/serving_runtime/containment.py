"""What one worker may do, as the front decides it and the fork server carries it out before a handler is imported."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Mode = Literal["auto", "off", "required"]
Report = Mapping[str, Any]
"""What is in force for one worker; said by the fork server before the handler runs, so that no handler can say it."""


@dataclass(frozen=True)
class Plan:
    """The measures for one worker. Paths are absolute and free of links."""

    model: str
    """The unpacked archive, which is read."""
    scratch: str
    """The only folder that is written to: TMPDIR and HOME."""
    scratch_bytes: int
    """Most bytes in `scratch`, and in each file."""
    processes: int
    """Most processes and threads."""
    memory_bytes: int | None = None
    """Most address space."""
    sockets: str | None = None
    """Where TorchServe's worker makes its socket."""
    uid: int | None = None
    """User and group of its own, when the front is root."""
    network: bool = False
    """Whether it may open connections."""
    shared_memory: bool = False
    """Whether the machine's /dev/shm is its own, because it is the only model."""
    readable: tuple[str, ...] = ()
    """What the operator lets every handler read besides."""
    required: bool = False
    """Whether a missing measure is an error."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(**{**fields, "readable": tuple(fields["readable"])})


class Uncontained(Exception):
    """A measure that is required cannot be taken; the text says which and what to do."""
