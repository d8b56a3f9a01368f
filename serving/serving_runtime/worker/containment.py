"""Closes a forked worker in, before any byte of the archive's handler is imported, and says what is in force.

Each measure stands by itself, because machines differ: a user of its own and namespaces keep it from other processes
and from the network, Landlock from files, connections and signals, limits from taking all there is.
"""

import ctypes
import glob
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving_runtime import landlock, processes
from serving_runtime.containment import Plan, Uncontained
from serving_runtime.worker import namespaces

_SET_DUMPABLE, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITY_VERSION = 0x20080522
_REQUIRED_ABI = 6  # the first with files, connections, abstract sockets and signals
_LIBC = ctypes.CDLL(None, use_errno=True)

_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone"),
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/mime.types", "/etc/magic"),
    *("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls/certs"),
    *("/etc/pki/ca-trust/extracted", "/etc/fonts", "/etc/alternatives"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage"),
    *("/nix/store", "/gnu/store"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/vm/overcommit_memory", "/proc/driver/nvidia"),
    # Not all of /proc/self: its `net/unix` names the sockets of everybody.
    *(f"/proc/self/{name}" for name in ("maps", "smaps", "smaps_rollup", "stat", "statm", "status")),
    *(f"/proc/self/{name}" for name in ("cgroup", "limits", "comm", "cmdline", "mountinfo", "task", "fd")),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_GPUS = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/kfd", "/dev/dri/*")
_FROM_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "TZDIR")

_held: list[int] = []  # see landlock.Reach.held


def enter(plan: Plan, *, namespaces_possible: bool) -> dict[str, Any]:
    """Take all measures of `plan` that this machine has, for good. Returns the report for /status.

    Raises Uncontained when the plan requires one that cannot be taken, and OSError when the kernel fails half-way:
    then the process must end.
    """
    files = readable(plan)
    _LIBC.prctl(_SET_DUMPABLE, 1, 0, 0, 0)  # otherwise the files of /proc that describe us are root's
    needed = [*files, plan.scratch, *filter(None, [plan.sockets])]
    closed = {folder for path in needed if (folder := namespaces.closed_above(path)) is not None}
    if namespaces_possible:
        namespaces.isolate(network=not plan.network)
        namespaces.hide_all_but(needed, also=closed if plan.uid is not None else ())
    uid = _own_user(plan, files, reachable=namespaces_possible or not closed)
    if namespaces_possible:
        namespaces.mount_scratch(plan.scratch, plan.scratch_bytes, os.geteuid() if uid is None else uid)
    counted = uid is not None or namespaces_possible and os.geteuid() != 0
    limit(plan, processes=counted)
    drop_privileges(uid)
    abi = landlock.restrict(reach(plan, files, private_shm=namespaces_possible))
    if abi is None:
        processes.hide_memory()
    if plan.required:
        require(abi)
    os.chdir(plan.model)  # the folder from before is not what its path shows now
    _move_home(plan.scratch)
    return {
        "no_new_privs": True,
        "own_uid": uid,
        "landlock": abi,
        "namespaces": namespaces_possible,
        "network": _network(plan, abi, namespaces_possible),
        "limits": {
            "core_bytes": 0,
            "file_bytes": plan.scratch_bytes,
            "processes": plan.processes if counted else None,
            "memory_bytes": plan.memory_bytes,
        },
        "scratch": "limited" if namespaces_possible else "watched",
    }


def readable(plan: Plan) -> list[str]:
    """What Python, the libraries and the handler read; without links, which Landlock would follow anyway."""
    own = [sys.prefix, sys.base_prefix, *sys.path, str(Path(__file__).parents[2]), plan.model, *plan.readable]
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH"):
        own += os.environ.get(name, "").replace(" ", os.pathsep).split(os.pathsep)
    own += [os.environ.get(name, "") for name in _FROM_ENVIRONMENT]
    return [*dict.fromkeys(os.path.realpath(path) for path in own if path and os.path.exists(path))]


def _own_user(plan: Plan, files: list[str], *, reachable: bool) -> int | None:
    """Give the worker's folders to its user; None when it could not read what it needs."""
    if plan.uid is None or not reachable or namespaces.first_closed([*files, os.__file__]) is not None:
        return None
    try:
        os.chown(plan.scratch, plan.uid, plan.uid)
        if (
            plan.sockets is not None
        ):  # Java's temporary files lie there as well: nobody but root may touch them
            os.chown(plan.sockets, -1, plan.uid)
            os.chmod(plan.sockets, 0o1730)
        os.setgroups([])
    except OSError:  # a root without the capabilities, or of a user namespace that has no such user
        return None
    return plan.uid


def limit(plan: Plan, *, processes: bool) -> None:
    """Set the limits of `plan`, and with `processes` that of processes as well.

    Processes are counted for each user: only a user of its own can be limited.
    """
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: plan.scratch_bytes}
    if processes:
        limits[resource.RLIMIT_NPROC] = plan.processes
    if plan.memory_bytes is not None:
        limits[resource.RLIMIT_AS] = plan.memory_bytes
    for which, most in limits.items():
        allowed = resource.getrlimit(which)[1]
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(which, (most, most))


def drop_privileges(uid: int | None) -> None:
    """Become `uid`, if there is one. No capability is left or can be won."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text("ascii"))
    for capability in range(last + 1):
        _LIBC.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # fails where we have none to drop
    if uid is not None:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if _LIBC.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "the worker's capabilities cannot be dropped")
    no_new_privileges()


def no_new_privileges() -> None:
    """What this process executes gives it no more rights than it has."""
    if _LIBC.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")


def reach(plan: Plan, files: list[str], *, private_shm: bool) -> landlock.Reach:
    """What Landlock leaves in reach: what `readable` found, what every program needs, the scratch folder."""
    shm = ["/dev/shm"] if private_shm or plan.shared_memory else []
    gpus = [path for pattern in _GPUS for path in glob.glob(pattern)]
    more = ["/sys/bus/pci", "/sys/devices", "/sys/module/nvidia"] if gpus else []
    return landlock.Reach(
        readable=[*_SYSTEM, *files, *more],
        writable=[plan.scratch, *shm],
        sockets=[] if plan.sockets is None else [plan.sockets],
        devices=[*_DEVICES, *gpus],
        tcp=plan.network,
        held=_held,
    )


def require(abi: int | None) -> None:
    """Raise Uncontained when a measure is not in force in this process."""
    if abi is None or abi < _REQUIRED_ABI:
        raise Uncontained(
            f"this kernel's Landlock ABI is {abi or 'none'}, SERVING_CONTAINMENT=required needs {_REQUIRED_ABI}; "
            "use a newer kernel, or SERVING_CONTAINMENT=auto"
        )
    if os.getuid() == 0:
        raise Uncontained(
            "the worker has no user of its own although the server runs as root: not every user may read "
            "Python or the work folder; start the server as another user, or with SERVING_CONTAINMENT=auto"
        )


def _network(plan: Plan, abi: int | None, namespaces_possible: bool) -> str:
    if plan.network:
        return "open"
    if namespaces_possible:
        return "denied"
    return "tcp denied" if abi is not None and abi >= 4 else "open"


def _move_home(scratch: str) -> None:
    for name in ("HOME", "TMPDIR"):
        os.environ[name] = scratch
    os.environ.pop("XDG_CACHE_HOME", None)
    tempfile.tempdir = None  # somebody may have asked for it already
