"""The last lines of a model's log, wherever they come from: bounded in lines and bytes."""

from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 256 * 1024
"""Of one process's log, as it is shown."""


@dataclass(frozen=True, slots=True)
class LogPart:
    """The last lines of one process that serves, oldest first; `pod` is None on one machine."""

    pod: str | None
    lines: tuple[str, ...]


def last_lines(text: bytes, count: int) -> tuple[str, ...]:
    """At most `count` whole lines from the end of a log, of at most MAX_BYTES."""
    kept = text[-MAX_BYTES:]
    if len(text) > MAX_BYTES:
        kept = kept.partition(b"\n")[2]
    lines = kept.decode("utf-8", "replace").replace("\x00", "").split("\n")
    return tuple(lines[:-1] if not lines[-1] else lines)[-count:]


def read_file(path: Path, count: int) -> tuple[str, ...]:
    """The last lines of a log file, and of the older one beside it when it has too few."""
    text = _end_of(path)
    if len(text) < MAX_BYTES and text.count(b"\n") < count:
        text = _end_of(path.with_suffix(".log.1")) + text
    return last_lines(text, count)


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_BYTES - 1))
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
