"""What a hostile handler tries. Packed into an archive as its handler, so that it needs the standard library only.

Each act returns what it got hold of, or raises. A request's body names the targets; the answer says how each act ended.
"""

import ctypes
import json
import mmap
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST_PROCESSES = 64
MOST_BYTES = 32 * 1024**2
_MIB = bytes(1024**2)
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_MNT_DETACH = 2

Targets = dict[str, Any]
_LIBC = ctypes.CDLL(None, use_errno=True)
_deleted: list[Any] = []
_children: list[int] = []


def read_the_store(targets: Targets) -> str:
    return Path(targets["object"]).read_text()


def read_the_password(targets: Targets) -> str:
    return Path(targets["password"]).read_text()


def read_another_archive(targets: Targets) -> str:
    return Path(targets["archive"], "handler.py").read_text()[:20]


def list_the_work_folder(targets: Targets) -> list[str]:
    return os.listdir(targets["work"])


def list_sockets(targets: Targets) -> str:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return next(line for line in lines if targets["work"] in line)


def read_shared_memory(targets: Targets) -> str:
    return Path(targets["shared_memory"]).read_text()


def read_an_environment(targets: Targets) -> str:
    return _any(lambda pid: Path(f"/proc/{pid}/environ").read_bytes()[:9].decode(), targets["processes"])


def write_to_a_memory(targets: Targets) -> str:
    def opened(pid: int) -> str:
        with open(f"/proc/{pid}/mem", "rb+"):
            return str(pid)

    return _any(opened, targets["processes"])


def trace_a_process(targets: Targets) -> str:
    def traced(pid: int) -> str:
        _checked(_LIBC.ptrace(_PTRACE_ATTACH, pid, None, None))
        os.waitpid(pid, 0)
        _checked(_LIBC.ptrace(_PTRACE_DETACH, pid, None, None))
        return str(pid)

    return _any(traced, targets["processes"][:1])


def signal_a_process(targets: Targets) -> str:
    def signalled(pid: int) -> str:
        os.kill(pid, signal.SIGWINCH)  # which everybody ignores
        return str(pid)

    return _any(signalled, targets["processes"])


def become_root(_targets: Targets) -> str:
    os.setresuid(0, 0, 0)
    with tempfile.NamedTemporaryFile() as file:
        os.chown(file.name, 65534, 65534)
    return str(os.getuid())


def mount_a_folder(_targets: Targets) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _checked(_LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(0), b"size=1m"))
        _checked(_LIBC.umount2(folder.encode(), _MNT_DETACH))
        return folder


def write_outside(targets: Targets) -> str:
    Path(targets["outside"]).write_text("was here")
    return targets["outside"]


def write_to_its_archive(_targets: Targets) -> str:
    Path(__file__).with_name("more.py").write_text("was here")
    return __file__


def connect_to_another_socket(targets: Targets) -> str:
    return _any(lambda path: _connected(socket.AF_UNIX, path), targets["sockets"])


def connect_to_an_abstract_socket(targets: Targets) -> str:
    return _connected(socket.AF_UNIX, "\0" + targets["abstract"])


def connect_by_tcp(targets: Targets) -> str:
    return _connected(socket.AF_INET, ("127.0.0.1", targets["tcp"]))


def listen_by_tcp(_targets: Targets) -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        _connected(socket.AF_INET, address)
        return str(address)


def send_by_udp(targets: Targets) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(2)
        sender.connect(("127.0.0.1", targets["udp"]))
        sender.send(b"was here")
        return sender.recv(16).decode()


def fork_for_ever(_targets: Targets) -> str:
    while len(_children) < MOST_PROCESSES:
        child = os.fork()
        if child == 0:
            os.setsid()  # out of the worker's group
            while True:
                time.sleep(60)
        _children.append(child)
    return f"{len(_children)} processes"


def fill_the_disk(_targets: Targets) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(MOST_BYTES >> 20):
            Path(folder, str(number)).write_bytes(_MIB)
    return f"{MOST_BYTES >> 20} MiB"


def fill_it_with_deleted_files(_targets: Targets) -> str:
    try:
        for _ in range(MOST_BYTES >> 20):
            file = tempfile.TemporaryFile()  # noqa: SIM115 - it stays open, that is the point
            _deleted.append(file)
            file.write(_MIB)
            file.flush()
    finally:
        while _deleted:
            _deleted.pop().close()
    return f"{MOST_BYTES >> 20} MiB"


def fill_it_with_one_file(_targets: Targets) -> str:
    with tempfile.TemporaryFile() as file:
        for _ in range(MOST_BYTES >> 20):
            file.write(_MIB)
        file.flush()
    return f"{MOST_BYTES >> 20} MiB"


ACTS: dict[str, Callable[[Targets], Any]] = {
    "read an object of the store": read_the_store,
    "read the database's password": read_the_password,
    "read the archive of another model": read_another_archive,
    "list the work folder": list_the_work_folder,
    "list the machine's sockets": list_sockets,
    "read another's shared memory": read_shared_memory,
    "read the environment of another process": read_an_environment,
    "write to the memory of another process": write_to_a_memory,
    "trace another process": trace_a_process,
    "signal another process": signal_a_process,
    "become root": become_root,
    "mount a file system": mount_a_folder,
    "write outside its own folder": write_outside,
    "write into its own archive": write_to_its_archive,
    "connect to the sockets of the server and of another model": connect_to_another_socket,
    "connect to an abstract socket": connect_to_an_abstract_socket,
    "connect by TCP": connect_by_tcp,
    "listen by TCP": listen_by_tcp,
    "send by UDP": send_by_udp,
    "fill the disk": fill_the_disk,
    "fill the disk with deleted files": fill_it_with_deleted_files,
    "fill the disk with one file": fill_it_with_one_file,
    "fork for ever": fork_for_ever,
}
ROOT_ONLY = ("become root", "mount a file system")
"""Acts that a worker can do without containment only when the server runs as root."""


def attempt(targets: Targets) -> dict[str, dict[str, Any]]:
    """Do all acts; for each whether it worked, and what came of it."""
    ended = {}
    for name, act in ACTS.items():
        try:
            ended[name] = {"done": True, "result": str(act(targets))[:200]}
        except Exception as error:
            ended[name] = {"done": False, "result": f"{type(error).__name__}: {error}"[:200]}
    return ended


def end_children() -> None:
    """End what `fork for ever` has left."""
    while _children:
        child = _children.pop()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def harmless() -> dict[str, Any]:
    """What every handler may do: scratch files, anonymous memory, threads, a child process."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("text")
    with mmap.mmap(-1, 4096) as memory:
        memory[:4] = b"text"
    child = os.fork()
    if child == 0:
        os._exit(7)
    return {
        "child": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]),
        "home": os.path.expanduser("~"),
        "temporary": tempfile.gettempdir(),
        "threads": len(os.listdir("/proc/self/task")),
        "cores": os.cpu_count(),
    }


def handle(data: Any, _context: Any) -> Any:
    """TorchServe's form of a handler."""
    if not data:
        return []
    return [_answer(row["body"]) for row in data]


def _answer(body: Any) -> Any:
    targets = json.loads(bytes(body)) if isinstance(body, bytes | bytearray) and body else body
    if not targets:
        return {}
    return {
        "harmless": harmless(),
        "acts": attempt(targets),
    }  # in this order: the last act takes all processes


def _any(try_one: Callable[[Any], str], candidates: list[Any]) -> str:
    """The first that works; otherwise the last error."""
    last: Exception = LookupError("there is nothing to try")
    for candidate in candidates:
        try:
            return try_one(candidate)
        except Exception as error:
            last = error
    raise last


def _connected(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(address)
        return str(address)


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
