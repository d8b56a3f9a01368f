"""Plans how the workers of this server are contained: which user, which folders, which limits."""

import os
import secrets
import stat
from pathlib import Path

from serving_runtime.containment import Plan
from serving_runtime.errors import LoadFailed
from serving_runtime.settings import Settings


class Containment:
    """Makes a plan for each worker; a user is nobody else's while its worker lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._uids = settings.worker.users if os.geteuid() == 0 else range(0)
        self._foreign = _running_users() if self._uids else set()
        self._taken: set[int] = set()
        # Another server on this machine has the same range, and begins elsewhere in it.
        self._next = secrets.randbelow(len(self._uids)) if self._uids else 0

    def plan(self, name: str, model: Path, scratch: Path) -> Plan | None:
        """The plan for a worker of the model `name`; None when containment is off. Raises LoadFailed.

        `model` is its unpacked archive, `scratch` an empty folder of its own.
        """
        settings = self._settings
        if settings.containment == "off":
            return None
        return Plan(
            model=str(model),
            scratch=str(scratch),
            scratch_bytes=settings.worker.scratch_bytes,
            processes=settings.worker.processes,
            memory_bytes=settings.worker.memory_bytes,
            uid=self._new_uid(),
            network=settings.worker.may_connect(name),
            shared_memory=settings.models_file is None,
            readable=tuple(filter(None, settings.worker.readable.split(os.pathsep))),
            required=settings.containment == "required",
        )

    def release(self, plan: Plan | None) -> None:
        """The worker is gone, and its user free for another."""
        if plan is not None and plan.uid is not None:
            self._taken.discard(plan.uid)

    def _new_uid(self) -> int | None:
        """In turn, so that what an ended worker left meets no successor of the same number soon."""
        if not self._uids:
            return None
        for _ in self._uids:
            uid = self._uids[self._next % len(self._uids)]
            self._next += 1
            if uid not in self._taken and uid not in self._foreign:
                self._taken.add(uid)
                return uid
        raise LoadFailed("every user of SERVING_WORKER_UIDS is in use; name a larger range")


def open_for_all(folder: Path) -> None:
    """Let every user read what is in `folder`, whatever the umask was; who may enter it is up to what is above."""
    for parent, _, files in os.walk(folder):
        os.chmod(parent, stat.S_IMODE(os.stat(parent).st_mode) | 0o555)
        for name in files:
            path = os.path.join(parent, name)
            os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | 0o444)


def bytes_in(folder: Path) -> int:
    """Bytes on disk in a folder that another process may be writing to."""
    total = 0
    for parent, _, files in os.walk(folder, onerror=lambda _error: None):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _running_users() -> set[int]:
    """Users of whom something runs, of which we know nothing."""
    users = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                lines = Path("/proc", entry, "status").read_text("utf-8", "replace").splitlines()
            except OSError:
                continue
            users |= {int(line.split()[1]) for line in lines if line.startswith("Uid:")}
    return users
