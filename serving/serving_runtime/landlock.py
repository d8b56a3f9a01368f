"""Landlock by its three system calls: what this process, and all that it starts, may still reach.

A rule names a file or folder and what may be done with it and all below it; what no rule names is denied. Kernels know
different sets of rights (their ABI): what this one does not know is not asked for. See landlock(7).
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_GET_VERSION = 1
_PATH_BENEATH = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_SOCK = 1 << 9
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL_DEV
_NODES = (1 << 6) | (1 << 11)  # making character and block devices: for nobody

_FILE_RIGHTS_BY_ABI = ((1, 13), (2, 14), (3, 15), (5, 16))
_TCP_ABI, _SCOPE_ABI = 4, 6
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


@dataclass(frozen=True)
class Reach:
    """What stays in reach. Paths that are not there are left out."""

    readable: Iterable[str]
    writable: Iterable[str] = ()
    sockets: Iterable[str] = ()
    """Folders in which a socket may be made, and nothing else."""
    devices: Iterable[str] = ()
    tcp: bool = False
    held: list[int] = field(default_factory=list)
    """Descriptors that keep the entries of /proc in `readable` alive; a rule ends with its entry."""


def abi() -> int | None:
    """The kernel's Landlock ABI; None where there is none, or where it is switched off."""
    version = _LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_GET_VERSION))
    return version if version > 0 else None


def restrict(reach: Reach) -> int | None:
    """Restrict this thread for good, and say by which ABI; None where there is no Landlock. Raises OSError.

    no_new_privs must be set. From ABI 6 on, signals and abstract sockets end at the border as well.
    """
    version = abi()
    if version is None:
        return None
    rights = (1 << max(bits for least, bits in _FILE_RIGHTS_BY_ABI if version >= least)) - 1
    ruleset = _ruleset(version, rights, tcp=reach.tcp)
    try:
        for paths, wanted in (
            (reach.readable, _READ),
            (reach.writable, rights & ~_NODES),
            (reach.sockets, _MAKE_SOCK),
            (reach.devices, _DEVICE),
        ):
            for path in paths:
                _allow(ruleset, path, wanted & rights, reach.held)
        _checked(_LIBC.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return version


def _ruleset(version: int, rights: int, *, tcp: bool) -> int:
    handled = struct.pack("=Q", rights)
    if version >= _TCP_ABI:
        handled += struct.pack("=Q", 0 if tcp else _BIND_AND_CONNECT_TCP)
    if version >= _SCOPE_ABI:
        handled += struct.pack("=Q", _ABSTRACT_SOCKETS_AND_SIGNALS)
    return _checked(
        _LIBC.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint32(0))
    )


def _allow(ruleset: int, path: str, rights: int, held: list[int]) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _OF_FILES
    rule = struct.pack("=Qi", rights, descriptor)
    try:
        _checked(
            _LIBC.syscall(
                _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_uint32(_PATH_BENEATH), rule, ctypes.c_uint32(0)
            )
        )
    finally:
        if path.startswith("/proc/self/"):
            held.append(descriptor)
        else:
            os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
