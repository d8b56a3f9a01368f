"""Child processes that can never outlive us, and notice of their death without polling."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_MADV_DONTNEED = 4
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here, because nothing may be loaded between fork and exec


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when process `parent` dies, however it dies.

    The kernel watches the parent's thread, so children must be started from its main thread.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def hide_memory() -> None:
    """Keep other processes of this user out of our memory and environment, where no Landlock keeps them out."""
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def start(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: IO[bytes] | int | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process group of its own that dies with this process. Call from the main thread.

    It inherits `descriptors` beside its standard streams.
    """
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        pass_fds=descriptors,
        preexec_fn=partial(die_with_parent, os.getpid()),
    )


async def end(process: subprocess.Popen[bytes], *, seconds: float = 5.0, term_seconds: float = 0.0) -> None:
    """Kill a process and its group, and wait until it is gone (at most `seconds`).

    It is asked first, when it has something to clear away, and has `term_seconds` for that.
    """
    if term_seconds and process.poll() is None:
        process.terminate()
        await _gone(process, term_seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await _gone(process, seconds)


async def _gone(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while process.poll() is None and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)


def kill(pid: int) -> None:
    """Kill one process; no error when it is gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def reap_orphans(*, seconds: float = 10.0) -> None:
    """For process 1 of a container: end those that died after their parents, which are left to us, until cancelled.

    Who starts a child here looks after it at once; one that is dead for `seconds` and still there has no owner.
    """
    last = 0
    while True:
        await asyncio.sleep(seconds)
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            continue
        pid = dead.si_pid if dead else 0
        if pid and pid == last:
            os.waitpid(pid, os.WNOHANG)
        last = pid


def tune_malloc(*, size: int = 16 * 1024**2) -> None:
    """Let the heap keep what it frees, up to twice `size` bytes, and take blocks smaller than `size` from it.

    Otherwise glibc returns the memory of a layer's result to the system after each batch and asks for it again in the
    next one, page by page: 500 page faults, and a sixth of the time of a batch.
    """
    with contextlib.suppress(AttributeError):  # glibc has it, musl does not
        _LIBC.mallopt(_M_MMAP_THRESHOLD, size)
        _LIBC.mallopt(_M_TRIM_THRESHOLD, 2 * size)


def trim_memory() -> None:
    """Return to the system what this process does not need now: freed heap, and pages of program code.

    Code is read from its file again when it is needed; importing PyTorch touches 40 MB of it that never runs again.
    """
    with contextlib.suppress(AttributeError):  # glibc has it, musl does not
        _LIBC.malloc_trim(0)
    for line in Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines():
        addresses, permissions, *_, name = line.split(maxsplit=5) if line.count(" ") > 5 else ("", "", "")
        if permissions == "r-xp" and name.lstrip().startswith("/"):  # never written to, so nothing is lost
            start, end = (int(address, 16) for address in addresses.split("-"))
            _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP, a debugger); it answers nothing until it is continued."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in ("T", "t")


class Watch:
    """Calls `on_death` once in the running loop when the process `pid` ends; `close` forgets it."""

    def __init__(self, pid: int, on_death: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_death = on_death
        self._descriptor = -1
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._loop.call_soon(on_death)
            return
        self._loop.add_reader(self._descriptor, self._died)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _died(self) -> None:
        self.close()
        self._on_death()
