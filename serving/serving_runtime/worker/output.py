"""What the code of an archive prints, logs or raises goes to the log of its deployment: a pipe that the front reads.

The pipe takes the place of standard output and standard error, so that libraries and child processes write to it, too.
Lines that Python writes while a batch runs begin with a mark that names its requests, where these have ids.
"""

import contextlib
import faulthandler
import io
import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from serving_runtime.protocol.output import mark

_FORMAT = "%(levelname)s %(name)s: %(message)s"
_TRACEBACKS, _TRACEBACKS_PER_SECOND = 20.0, 2.0
_OWN = str(Path(__file__).parent)


class _Now:
    """Which requests are being answered; set for each batch, read only when something is written."""

    ids: Sequence[str | None] = ()
    kept: int | None = None
    """The pipe, while it is not in the place of the standard streams yet."""
    of_java: Sequence[int] = ()


_now = _Now()


def open_pipe(path: str | None) -> int | None:
    """The pipe of a deployment's log, to be opened before a worker is contained; None when there is none."""
    return None if path is None else os.open(path, os.O_WRONLY | os.O_CLOEXEC)


def redirect(pipe: int | None) -> None:
    """Put the pipe in the place of both standard streams; nothing without a pipe."""
    if pipe is not None:
        os.dup2(pipe, 1)
        os.dup2(pipe, 2)
        os.close(pipe)


def keep(pipe: int | None) -> None:
    """Leave the standard streams to Java until `take_over`: it waits for what TorchServe prints when it starts.

    Java takes the end of one of them for the end of the worker, so they stay open for good.
    """
    if pipe is not None:
        _now.kept = pipe
        _now.of_java = [os.dup(1), os.dup(2)]


def take_over() -> None:
    """Let Python write through the standard streams line by line, log to them, and say where it crashes."""
    redirect(_now.kept)
    _now.kept = None
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    faulthandler.enable(2)
    logging.basicConfig(level=logging.INFO, format=_FORMAT, stream=sys.stderr, force=True)


def answering(ids: Sequence[str | None]) -> None:
    """From now on it is these requests that are answered; costs nothing until something is written."""
    _now.ids = ids


def write_traceback(error: BaseException) -> None:
    """Write where an error of the archive's code came from; a flood of errors is cut short."""
    # The archive's code may have closed or replaced the stream: that is no reason to lose the worker.
    with contextlib.suppress(Exception):
        if _tracebacks.take():
            lines = traceback.format_exception(type(error), error, _of_archive(error.__traceback__))
            sys.stderr.write("".join(lines))


class _Tracebacks:
    """Twenty at once and two a second are enough to find a fault, and cost other requests nothing."""

    def __init__(self) -> None:
        self._left, self._since, self._silent = _TRACEBACKS, time.monotonic(), 0

    def take(self) -> bool:
        """Whether one more may be written; says how many were not."""
        now = time.monotonic()
        self._left = min(_TRACEBACKS, self._left + (now - self._since) * _TRACEBACKS_PER_SECOND)
        self._since = now
        if self._left < 1:
            self._silent += 1
            return False
        self._left -= 1
        if self._silent:
            sys.stderr.write(f"{self._silent} more errors without a traceback\n")
            self._silent = 0
        return True


_tracebacks = _Tracebacks()


class _Stream(io.RawIOBase):
    """A standard stream that marks the beginning of each line with the requests that are being answered."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._inside = False
        """Whether the last line has no end yet."""

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        """Write all of it. Raises OSError."""
        data = given = bytes(content)
        if (begin := mark(_now.ids)) and data:
            data = data[:-1].replace(b"\n", b"\n" + begin) + data[-1:]
            data = data if self._inside else begin + data
        if given:
            self._inside = not given.endswith(b"\n")
        while data:
            data = data[os.write(self._descriptor, data) :]
        return len(given)


def _stream(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        _Stream(descriptor),  # type: ignore[arg-type]
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


def _of_archive(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame that is not ours on."""
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_OWN):
        first = first.tb_next
    return first or trace
