"""The data folder: made, held by one launcher, emptied by a reset; `launcher` and `__main__` call it."""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from marina_local import postgres
from marina_local.errors import AlreadyRunning, LocalError, Unusable
from marina_local.settings import REPOSITORY, LocalSettings

FREE_MIB = 500
STOP_SECONDS = 60.0
# All that the launcher makes in its folder, so that a reset deletes nothing else.
DATA = ("postgres", "store", "serving", "logs", "uploads")
FOLDERS = ("store", "serving", "logs", "models", "run", "backups")


@dataclass(frozen=True)
class Holder:
    """The launcher that uses a data folder: its process id, start (seconds since 1970), addresses, ports by service.

    The command line `marina` reads the API's address in the lock's file. `auth` is the setting of that name.
    """

    pid: int
    started: float
    ui: str
    api: str
    ports: dict[str, int]
    auth: Literal["on", "off"]


@contextmanager
def lock(settings: LocalSettings) -> Iterator[None]:
    """Hold the data folder; the kernel lets go of it even when the launcher is killed.

    Raises AlreadyRunning with who holds it, Unusable when the folder cannot be made or the disk is full.
    """
    prepare(settings)
    descriptor = os.open(settings.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(descriptor):
            raise AlreadyRunning(_who(settings))
        addresses = settings.address("ui"), settings.address("api")
        holder = Holder(os.getpid(), time.time(), *addresses, settings.ports, settings.auth)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def prepare(settings: LocalSettings) -> None:
    """Make the folders, closed to others; reject a disk that is as good as full, before a database notices."""
    home = settings.home
    if not str(home).isprintable():
        raise Unusable(
            f"the data folder {ascii(str(home))} has characters that some programs cannot read: set MARINA_HOME"
        )
    try:
        _require_own(settings)
        home.mkdir(parents=True, exist_ok=True)
        _close(home)
        for name in FOLDERS:
            (home / name).mkdir(exist_ok=True)
            if not (home / name).is_symlink():
                (home / name).chmod(0o700)
        settings.lock_file.touch(0o600)
    except OSError as error:
        raise Unusable(f"the data folder {home} cannot be made: {error.strerror}") from error
    free = shutil.disk_usage(home).free // 2**20
    if free < FREE_MIB:
        raise Unusable(f"the disk of {home} is full: {free} MiB are free, Marina needs {FREE_MIB}")


def holder(settings: LocalSettings) -> Holder | None:
    """Who holds the data folder now, None if it is free."""
    try:
        descriptor = os.open(settings.lock_file, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _lock(descriptor):
            return None
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError) as error:
        # A launcher that has the lock and has not yet written its name.
        raise AlreadyRunning("another launcher is just starting here: try again in a moment") from error
    finally:
        os.close(descriptor)


def as_started(settings: LocalSettings) -> LocalSettings:
    """The settings with the ports and the authentication of who holds the folder, so that nobody has to say them again.

    Where nobody does, those of who held it last, except for what the environment says.
    """
    said = set() if holder(settings) else settings.model_fields_set
    try:
        found = Holder(**json.loads(settings.lock_file.read_text()))
        started = {f"{service}_port": found.ports[service] for service in settings.ports}
    except (OSError, ValueError, TypeError, KeyError):
        return settings
    more = {"auth": found.auth, **started}
    return settings.model_copy(update={name: value for name, value in more.items() if name not in said})


def running(settings: LocalSettings) -> LocalSettings:
    """The settings of what runs on the data folder. Raises LocalError when nothing does."""
    if holder(settings) is None:
        raise LocalError(
            f"nothing runs on {settings.home}: run `make up` first, or name another data folder by MARINA_HOME"
        )
    return as_started(settings)


def stop(settings: LocalSettings) -> float | None:
    """Ask the launcher that holds the folder to stop and wait until it has; seconds, None if none runs."""
    found = holder(settings)
    if found is None:
        return None
    command = Path(f"/proc/{found.pid}/cmdline")
    if not command.exists() or b"marina_local" not in command.read_bytes().split(b"\0"):
        raise LocalError(
            f"process {found.pid} holds {settings.home} and is no launcher of Marina: look at it"
        )
    begin = time.monotonic()
    os.kill(found.pid, signal.SIGTERM)
    while time.monotonic() - begin < STOP_SECONDS:
        if holder(settings) is None:
            return time.monotonic() - begin
        time.sleep(0.1)
    raise LocalError(f"the launcher (process {found.pid}) did not stop within {STOP_SECONDS:.0f} s")


def empty(settings: LocalSettings, *, everything: bool = False) -> None:
    """Delete the data; trained models stay unless `everything` is set. The caller holds the folder."""
    postgres.delete(settings)
    for name in (*DATA, "models") if everything else DATA:
        shutil.rmtree(settings.home / name, ignore_errors=True)
    for path in settings.lock_file.parent.iterdir():
        # The lock itself stays: a new file of that name would be a second lock.
        if path != settings.lock_file:
            path.unlink()


def _require_own(settings: LocalSettings) -> None:
    """Raise Unusable for a folder with things of others under our names: a reset would delete them."""
    home = settings.home
    if REPOSITORY.is_relative_to(home):
        raise Unusable(f"the data folder {home} has Marina's own code in it: name another one by MARINA_HOME")
    if settings.lock_file.exists() or not home.is_dir():
        return
    for name in DATA:
        if (home / name).is_dir() and any((home / name).iterdir()):
            raise Unusable(
                f"{home} is no data folder of Marina and has a folder `{name}`: name another one by MARINA_HOME, or, "
                f"where it is Marina's nevertheless, make an empty file {settings.lock_file}"
            )


def _close(home: Path) -> None:
    """Keep others out of the data folder; one that has other files in it stays as open as it was."""
    is_ours = {path.name for path in home.iterdir()} <= {*DATA, *FOLDERS}
    # Postgres runs as another user when we are root, and must get through, but need not look around.
    through = 0o011 if os.geteuid() == 0 else 0
    before = home.stat().st_mode & 0o7777
    mode = (0o700 if is_ours else before) | through
    if mode != before:
        home.chmod(mode)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who(settings: LocalSettings) -> str:
    found = holder(settings)
    if found is None:
        return "another launcher was just stopping here: try again"
    since = time.strftime("%H:%M:%S", time.localtime(found.started))
    return f"Marina already runs here: {found.ui} (process {found.pid}, since {since}); `make down` stops it"
