"""Ends the processes that handlers started and left behind; the fork server is the parent that they fall back to."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Container
from pathlib import Path

_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def adopt() -> None:
    """Become the parent of every process below us whose own parent dies."""
    _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end(but: Container[int]) -> None:
    """Kill our children and all below them, without the children in `but` and what is below those.

    Each is stopped before any is killed: what forks for ever would be faster otherwise.
    """
    stopped: set[int] = set()
    while new := _below(os.getpid(), but) - stopped:
        for pid in new:
            _send(pid, signal.SIGSTOP)
        stopped |= new
    for pid in stopped:
        _send(pid, signal.SIGKILL)


def _below(root: int, but: Container[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    children.setdefault(int(parent), []).append(int(entry))
    found: set[int] = set()
    waiting = [pid for pid in children.get(root, []) if pid not in but]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children.get(pid, [])
    return found


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
