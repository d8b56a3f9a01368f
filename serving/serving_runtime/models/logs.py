"""One log for each model: what its workers print, log and raise, and what the front says of them.

Workers write into a pipe of their version. One thread reads all pipes and writes whole lines with time, version and
request ids: into a file for each model, or to standard output in a pod. It reads each pipe at most a hundred times a
second and writes at most RATE bytes of it, so a flood of output costs its own worker time, and nobody else.
"""

import contextlib
import fcntl
import os
import secrets
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from serving_runtime.protocol.output import unmark
from serving_runtime.settings import LogSettings

RATE, BURST = 128 * 1024, 512 * 1024
LONGEST_LINE = 8 * 1024
_PIPE_BYTES = 256 * 1024
_PAUSE_SECONDS = 0.01
_IDLE_SECONDS = 1.0
_CLOSE_SECONDS = 2.0
_MODELS = 64  # the logs of so many models may be kept, by their largest size
_STDOUT = 1
_F_SETPIPE_SZ = 1031
# Escape sequences of a terminal, and whatever else is no text.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}


class Output:
    """What belongs to one version: the pipe for its workers, and words of the front about it."""

    def __init__(self, logs: "ModelLogs", model: str, version: str, pipe: Path) -> None:
        self.pipe = pipe
        self._logs = logs
        self.model = model
        self.version = version
        self.descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # this user has many pipes
            fcntl.fcntl(self.descriptor, _F_SETPIPE_SZ, _PIPE_BYTES)
        self.notes: deque[str] = deque(maxlen=100)
        self.closing = False
        self.lines = _Lines()

    def note(self, text: str) -> None:
        """Add a line of the front."""
        self.notes.append(text)
        self._logs.wake()

    def close(self) -> None:
        """No worker writes any more; what is in the pipe is still read."""
        self.closing = True
        self._logs.wake()


class _Lines:
    """Cuts bytes into lines, and leaves out what is too much."""

    def __init__(self) -> None:
        self._rest = b""
        self._cut = False
        self._left = float(BURST)
        self._since = time.monotonic()
        self.missing = 0

    def add(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes and that may be written."""
        if self._refill() <= 0:
            self._skip(data)
            return
        *lines, rest = (self._rest + data).split(b"\n")
        if self._cut and lines:
            self._cut = False
            del lines[0]
        for line in lines:
            if self._left <= 0:
                self.missing += 1
                continue
            self._left -= min(len(line), LONGEST_LINE) + 40
            yield line
        self._rest = b"" if self._cut else rest
        if len(self._rest) > LONGEST_LINE:
            self._left -= LONGEST_LINE + 40
            yield self.rest()
            self._cut = True

    def rest(self) -> bytes:
        """The line that has no end yet."""
        rest, self._rest = self._rest, b""
        return rest

    def _skip(self, data: bytes) -> None:
        ends = data.count(b"\n")
        self.missing += ends
        if ends:
            self._rest, self._cut = b"", not data.endswith(b"\n")

    def missed(self) -> int:
        """How many lines were left out, once others may be written again."""
        if not self.missing or self._refill() <= 0:
            return 0
        missing, self.missing = self.missing, 0
        return missing

    def _refill(self) -> float:
        """How many bytes may be written now."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._since) * RATE)
        self._since = now
        return self._left


class ModelLogs:
    """`open` the output of a version; `close` at the end. Everything but that happens in a thread of its own."""

    def __init__(self, folder: Path, settings: LogSettings) -> None:
        """`folder` is private to this process; the pipes are made in it."""
        self._folder = folder
        self._settings = settings
        self._outputs: dict[int, Output] = {}
        self._epoll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._thread: threading.Thread | None = None
        self._ending = False

    def open(self, model: str, version: str) -> Output:
        """The output of one version. Raises OSError."""
        pipe = self._folder / f"o{secrets.token_hex(6)}"
        os.mkfifo(pipe, 0o600)
        output = Output(self, model, version, pipe)
        self._outputs[output.descriptor] = output
        self._epoll.register(output.descriptor, select.EPOLLIN)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="model logs", daemon=True)
            self._thread.start()
        return output

    def close(self) -> None:
        """Write what is there still, and end."""
        self._ending = True
        self.wake()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)
            if self._thread.is_alive():
                return  # it waits for a disk, and dies with us
        self._epoll.close()
        os.close(self._alarm)

    def wake(self) -> None:
        """Have the thread look now."""
        os.eventfd_write(self._alarm, 1)

    def _run(self) -> None:
        self._prune()
        while not self._ending:
            behind = any(each.lines.missing for each in tuple(self._outputs.values()))
            ready = {descriptor for descriptor, _ in self._epoll.poll(_IDLE_SECONDS if behind else -1)}
            if self._alarm in ready:
                os.eventfd_read(self._alarm)
            self._round(ready)
            time.sleep(_PAUSE_SECONDS)
        self._round(set(self._outputs))
        for output in tuple(self._outputs.values()):
            self._forget(output)

    def _round(self, ready: set[int]) -> None:
        for output in tuple(self._outputs.values()):
            lines: list[bytes] = []
            if output.descriptor in ready or output.closing:
                lines += output.lines.add(_read(output.descriptor))
            if missing := output.lines.missed():
                text = f"[{missing:,} lines are left out: more than {RATE // 1024} KiB a second]"
                lines.append(text.encode())
            if (output.notes or output.closing) and (rest := output.lines.rest()):
                lines.append(rest)
            while output.notes:
                lines.append(output.notes.popleft().encode("utf-8", "replace"))
            if lines:
                self._write(output.model, b"".join(_dressed(output.version, line) for line in lines))
            if output.closing:
                self._forget(output)

    def _forget(self, output: Output) -> None:
        self._epoll.unregister(output.descriptor)
        del self._outputs[output.descriptor]
        os.close(output.descriptor)
        output.pipe.unlink(missing_ok=True)

    def _write(self, model: str, data: bytes) -> None:
        try:
            if self._settings.dir is None:
                _write_all(_STDOUT, data)
                return
            path = self._settings.dir / f"{model}.log"
            with path.open("ab", buffering=0) as file:
                _write_all(file.fileno(), data)
                full = file.tell() > self._settings.bytes
            if full:
                path.replace(path.with_suffix(".log.1"))
                self._prune()
        except OSError:
            pass  # a full disk, or nobody at the other end: models serve on

    def _prune(self) -> None:
        """Delete the oldest logs, when there are more than the folder may hold; those of models come and go."""
        if self._settings.dir is None:
            return
        with contextlib.suppress(OSError):
            self._settings.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            files = [(path, path.stat()) for path in self._settings.dir.glob("*.log*")]
            over = sum(status.st_size for _, status in files) - _MODELS * self._settings.bytes
            for path, status in sorted(files, key=lambda one: one[1].st_mtime):
                if over <= 0:
                    break
                over -= status.st_size
                path.unlink(missing_ok=True)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIPE_BYTES)
    except OSError:
        return b""


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _dressed(version: str, line: bytes) -> bytes:
    """`TIME vVERSION [REQUEST,...] TEXT`; of what was overwritten on a terminal, the last."""
    requests, text = unmark(line)
    shown = text.rstrip(b"\r").rpartition(b"\r")[2]
    if len(shown) > LONGEST_LINE:
        shown = shown[:LONGEST_LINE] + b" ..."
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    named = f" [{requests.decode('utf-8', 'replace')}]" if requests else ""
    said = shown.decode("utf-8", "backslashreplace")
    return f"{now} v{version}{named} {said}".translate(_CONTROLS).encode("utf-8", "replace") + b"\n"
