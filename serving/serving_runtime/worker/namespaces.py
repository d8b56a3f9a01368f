"""Mounts, network and System V IPC of a worker's own, where the kernel lets us have them.

As root they are simply made; a normal user makes them in a user namespace, which many machines and nearly all pods
forbid. So it is tried once, in a process that ends (`possible`).
"""

import ctypes
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

_NEWNS, _NEWIPC, _NEWUSER, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x40000000
_NOSUID, _NODEV, _BIND, _REC, _SLAVE = 1 << 1, 1 << 2, 1 << 12, 1 << 14, 1 << 19
_COVER = "mode=0711,size=1m"
# Folders of / that stay as they are: what is in them belongs to the system.
_SYSTEM = {
    f"/{name}"
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "etc", "dev", "proc", "sys", "nix", "gnu")
}
_LIBC = ctypes.CDLL(None, use_errno=True)


def possible(folder: Path) -> bool:
    """Whether a process here may have namespaces of its own, and mount a small file system on `folder`."""
    child = os.fork()
    if child == 0:
        try:
            isolate(network=True)
            mount_scratch(str(folder), 1 << 20, os.geteuid())
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status == 0


def isolate(*, network: bool) -> None:
    """Leave the machine's mounts and IPC, and with `network` its network. Raises OSError half-way: try `possible`."""
    uid, gid = os.geteuid(), os.getegid()
    flags = _NEWNS | _NEWIPC | (_NEWNET if network else 0) | (_NEWUSER if uid else 0)
    _checked(_LIBC.unshare(flags), "unshare")
    if uid:
        Path("/proc/self/setgroups").write_text("deny", "ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", "ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", "ascii")
    _mount("none", "/", None, _REC | _SLAVE, None)


def mount_scratch(folder: str, size: int, uid: int) -> None:
    """Mount an empty file system of at most `size` bytes, `uid`'s own, on `folder` and on /dev/shm. Raises OSError."""
    for target in (folder, "/dev/shm"):
        if os.path.isdir(target):
            _mount("tmpfs", target, "tmpfs", _NOSUID | _NODEV, f"mode=0700,uid={uid},gid={uid},size={size}")


def hide_all_but(paths: Sequence[str], *, also: Iterable[str] = ()) -> None:
    """Cover the folders of / that are not the system's, and those in `also`, with empty ones that show `paths` only.

    So no socket in /run, /tmp or a home has a path here, and a closed folder above `paths` is no obstacle for another
    user. Descriptors and working folders from before lead behind the cover. Raises OSError.
    """
    outermost = [path for path in paths if not any(_is_below(path, other) for other in paths)]
    covers = {entry.path for entry in os.scandir("/") if entry.is_dir(follow_symlinks=False)} - _SYSTEM | set(
        also
    )
    for folder in covers:
        shown = any(path == folder or _is_below(folder, path) for path in outermost)
        if not shown and not any(_is_below(folder, other) for other in covers):
            _cover(folder, [path for path in outermost if _is_below(path, folder)])


def _cover(folder: str, shown: list[str]) -> None:
    held = [(path, os.open(path, os.O_PATH)) for path in shown]
    _mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, _COVER)
    for path, descriptor in held:
        _make_place(Path(path), like=descriptor)
        _mount(f"/proc/self/fd/{descriptor}", path, None, _BIND | _REC, None)
        os.close(descriptor)


def closed_above(path: str) -> str | None:
    """The outermost folder above `path` that not every user may enter."""
    at = path.find("/", 1)
    while at > 0:
        if not os.stat(path[:at]).st_mode & stat.S_IXOTH:
            return path[:at]
        at = path.find("/", at + 1)
    return None


def first_closed(paths: Iterable[str]) -> str | None:
    """The first of `paths` that not every user may read, wherever it is."""
    for path in paths:
        mode = os.stat(path).st_mode
        needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
        if mode & needed != needed:
            return path
    return None


def _make_place(path: Path, *, like: int) -> None:
    before = os.umask(0o022)
    try:
        if stat.S_ISDIR(os.fstat(like).st_mode):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    finally:
        os.umask(before)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind, data)]
    _checked(_LIBC.mount(*words[:3], ctypes.c_ulong(flags), words[3]), f"mount on {target}")


def _checked(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
