"""How a line of a worker's output says to which requests it belongs: a mark at its beginning, between two controls."""

from collections.abc import Sequence

_BEGIN, _END = b"\x1e", b"\x1f"
_NAMED = 8
_LONGEST_ID = 64


def mark(ids: Sequence[str | None]) -> bytes:
    """The mark of these requests; empty when none has an id. At most eight are named."""
    known = [one for one in ids if one]
    if not known:
        return b""
    more = f",+{len(known) - _NAMED}" if len(known) > _NAMED else ""
    names = ",".join(one[:_LONGEST_ID] for one in known[:_NAMED]) + more
    return _BEGIN + names.encode("utf-8", "replace").translate(_WITHOUT_CONTROLS) + _END


def unmark(line: bytes) -> tuple[bytes, bytes]:
    """The requests that a line names, empty when it names none, and the line itself."""
    if line[:1] != _BEGIN:
        return b"", line
    names, end, rest = line[1:].partition(_END)
    return (names, rest) if end else (b"", line)


_WITHOUT_CONTROLS = bytes(0x5F if at < 0x21 or at == 0x7F else at for at in range(256))
