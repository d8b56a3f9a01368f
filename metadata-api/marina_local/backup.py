"""Backups of the one-machine mode: a dump, its manifest, and every stored object that the manifest names.

The scripts are those of the chart, with the programs of the bundled Postgres. A backup's folder is whole by itself: it
may be copied to another disk or machine, and restored into an empty data folder there.
"""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from marina_local import folder
from marina_local.errors import LocalError, NotReady
from marina_local.postgres import DATABASE, USER, Postgres
from marina_local.settings import REPOSITORY, LocalSettings
from marina_local.supervisor import Supervisor

SCRIPTS = REPOSITORY / "charts" / "marina" / "files" / "backup"
SCRIPT_SECONDS = 3600.0
KEPT = 14
# Where the API keeps an object, and where a backup does, by the kind in the manifest. Inputs are where images are,
# as which older manifests know them: a backup of before is restored, and its bytes are not copied again.
STORES = {"archive": ("artifacts", "archive"), "input": ("images", "image"), "image": ("images", "image")}
PART_BYTES = 1024 * 1024


def back_up(settings: LocalSettings, to: Path) -> str:
    """Dump the running system into a folder, with the bytes that the dump needs; what was done, as a sentence.

    Raises LocalError when nothing runs, and when bytes are missing or damaged; the dump and all other bytes are there
    nevertheless.
    """
    settings = folder.running(settings)
    to.mkdir(parents=True, exist_ok=True)
    _run("backup", Postgres(settings), BACKUP_DIR=str(to), BACKUP_KEEP=str(KEPT))
    dump = max(to.glob("marina-*.dump"))
    copied, broken = _copy_objects(dump, settings.home / "store", to / "objects", into_store=False)
    if broken:
        raise LocalError(f"{dump} is written, but these bytes are missing or damaged: {', '.join(broken)}")
    return f"{dump}: the database and {copied} new objects"


def restore(settings: LocalSettings, source: Path, name: str) -> str:
    """Put database and bytes back to what they were in a backup, by default the newest; nothing may run meanwhile.

    Raises LocalError when something runs, the backup cannot be read, or bytes that it needs are missing.
    """
    if not source.is_dir():
        raise LocalError(f"there is no backup in {source}")
    settings = folder.as_started(settings)
    with folder.lock(settings):
        asyncio.run(_restore_database(settings, source, name))
        dump = source / name if name else max(source.glob("marina-*.dump"))
        copied, broken = _copy_objects(dump, source / "objects", settings.home / "store", into_store=True)
    if broken:
        raise LocalError(f"the database is restored, but these bytes are nowhere: {', '.join(broken)}")
    return (
        f"restored {dump} and {copied} objects; what serves is kept as it is until POST /v1/restore/confirm"
    )


async def _restore_database(settings: LocalSettings, source: Path, name: str) -> None:
    postgres = Postgres(settings)
    supervisor = Supervisor(settings.logs)
    try:
        service = await asyncio.to_thread(postgres.prepare)
        await postgres.ready(supervisor.start(service), settings.start_seconds)
        await asyncio.to_thread(_run, "restore", postgres, BACKUP_DIR=str(source), RESTORE_FILE=name)
    finally:
        await supervisor.stop(last="postgres")


def _run(script: str, postgres: Postgres, **more: str) -> None:
    """Run one of the chart's scripts against the database of this machine."""
    environment: Mapping[str, str] = {
        "PATH": f"{postgres.programs()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LC_ALL": "C",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": USER,
        "PGDATABASE": DATABASE,
        "PASSWORD_FILE": str(postgres.password_file),
        **more,
    }
    command = ["bash", str(SCRIPTS / f"{script}.sh")]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SCRIPT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotReady(f"{script} took longer than {SCRIPT_SECONDS:.0f} s") from error
    if ended.returncode != 0:
        said = (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LocalError(f"{script} of Postgres on 127.0.0.1:{postgres.port} failed: {said}")


def _copy_objects(dump: Path, source: Path, target: Path, *, into_store: bool) -> tuple[int, list[str]]:
    """Copy what a manifest names and the target lacks; how many those were, and which are nowhere whole."""
    copied, broken = 0, []
    for kind, digest in _manifest(dump.with_suffix(".manifest")):
        (store, backup), place = STORES[kind], Path(digest[:2], digest)
        have = target / (store if into_store else backup) / place
        if _is_whole(have, digest):
            continue
        found = source / (backup if into_store else store) / place
        if _is_whole(found, digest):
            _copy(found, have)
            copied += 1
        else:
            broken.append(digest)
    return copied, broken


def _manifest(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open() as lines:
            for line in lines:
                if not line.startswith("#"):
                    kind, digest, *_ = line.split()
                    yield kind, digest
    except (OSError, ValueError) as error:
        raise LocalError(f"the manifest {path} cannot be read: {error}") from error


def _is_whole(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False


def _copy(source: Path, target: Path) -> None:
    """A copy of its own, which no fault of the original reaches; whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f"{target.name}.new")
    with source.open("rb") as read, new.open("wb") as written:
        shutil.copyfileobj(read, written, PART_BYTES)
        written.flush()
        os.fsync(written.fileno())
    os.replace(new, target)
