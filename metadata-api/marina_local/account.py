"""The system user that Postgres runs as when the launcher is root, and what that user can reach."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from marina_local.errors import Unusable
from marina_local.process import Account

USUAL, OWN = "postgres", "marina-postgres"


def choose(requested: str = "") -> Account | None:
    """The user for Postgres: None (ourselves) unless we are root, which Postgres rejects.

    Raises Unusable when a user is requested that is not there or none can be made.
    """
    if os.geteuid() != 0:
        return None
    for name in [requested] if requested else [USUAL, OWN]:
        found = _find(name)
        if found:
            return found
    if requested:
        raise Unusable(f"MARINA_POSTGRES_USER names {requested}, and this machine has no such user")
    return _make()


def can_read(account: Account | None, *paths: Path) -> bool:
    """Whether the user can enter and read all of these; asked of the kernel, as that user."""
    test = 'for path in "$@"; do test -r "$path" && test -x "$path" || exit 1; done'
    return account is None or _may(account, test, *paths)


def can_enter(account: Account | None, folder: Path) -> bool:
    """Whether the user can get through a folder to one of its own in it; listing it is not needed."""
    return account is None or _may(account, 'cd "$1"', folder)


def chown(path: Path, account: Account | None) -> None:
    """Make a folder or file the user's own, closed to others."""
    path.chmod(0o700 if path.is_dir() else 0o600)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def run_as(
    account: Account | None,
    command: list[str],
    *,
    environment: dict[str, str],
    seconds: float,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a short command, which reads `text`, as the user or as ourselves; the caller looks at its exit code."""
    return subprocess.run(
        command,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        env=environment,
        cwd="/",
        input=text,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _may(account: Account, script: str, *paths: Path) -> bool:
    command = ["/bin/sh", "-c", script, "sh", *map(str, paths)]
    return run_as(account, command, environment={}, seconds=10).returncode == 0


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid)


def _make() -> Account:
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        raise Unusable("Postgres does not run as root and useradd is missing: start Marina as another user")
    command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", OWN]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    found = _find(OWN)
    if found is None:
        raise Unusable(
            f"Postgres does not run as root, and no user {OWN} can be made: {result.stderr.strip()[:200]}"
        )
    return found
