"""`python -m marina_local up|down|status|reset|train|fsck|backup|restore`; the Makefile calls it."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import ValidationError

from marina_local import backup, environment, folder, launcher, services, tokens
from marina_local.errors import LocalError
from marina_local.ports import NAMES
from marina_local.process import run
from marina_local.settings import LocalSettings
from metadata_api.schemas.fsck import StoreCheck

POLL_SECONDS = 0.3
PROGRESS_SECONDS = 2.0


def main() -> int:
    """Run one command; anything that a person can repair is one line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m marina_local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start everything and stay until Ctrl-C")
    commands.add_parser("down", help="stop what runs")
    commands.add_parser("status", help="say what runs")
    reset = commands.add_parser("reset", help="stop and delete the data")
    reset.add_argument("--all", action="store_true", help="delete the trained models too")
    commands.add_parser("train", help="train the starter experiments")
    checking = commands.add_parser("fsck", help="compare the database and the store of the running system")
    checking.add_argument("--repair", action="store_true", help="replace broken bytes from the copy")
    saving = commands.add_parser("backup", help="dump the running system with its stored bytes")
    saving.add_argument("--to", type=Path, help="folder; by default `backups` in the data folder")
    restoring = commands.add_parser("restore", help="put database and bytes back; nothing may run")
    restoring.add_argument("--from", type=Path, dest="source", help="folder that a backup was made into")
    restoring.add_argument("--file", default="", help="name of the dump; by default the newest")
    arguments = parser.parse_args()
    environment.forget_postgres(os.environ)
    os.umask(0o077)  # logs, archives and models are closed to others, and so is what the services write
    try:
        settings = LocalSettings()
        return int(COMMANDS[arguments.command](settings, arguments))
    except LocalError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except ValidationError as error:
        first = error.errors()[0]
        return _fail(f"MARINA_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}")


def _up(settings: LocalSettings, _: argparse.Namespace) -> int:
    folder.prepare(settings)
    launcher.setup_logging(settings)
    return asyncio.run(launcher.up(settings))


def _down(settings: LocalSettings, _: argparse.Namespace) -> int:
    seconds = folder.stop(settings)
    _tell(f"nothing runs on {settings.home}" if seconds is None else f"stopped in {seconds:.1f} s")
    return 0


def _status(settings: LocalSettings, _: argparse.Namespace) -> int:
    holder = folder.holder(settings)
    if holder is None:
        _tell(f"nothing runs on {settings.home}")
        return 3
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.started))
    _tell(f"running since {since} as process {holder.pid}: {holder.ui}")
    ports = ", ".join(f"{NAMES[service]} on 127.0.0.1:{port}" for service, port in holder.ports.items())
    _tell(f"{settings.home}: {ports}")
    return 0


def _reset(settings: LocalSettings, arguments: argparse.Namespace) -> int:
    if not settings.lock_file.exists():
        raise LocalError(f"{settings.home} is no data folder of Marina: nothing deleted")
    folder.stop(settings)
    with folder.lock(settings):
        folder.empty(settings, everything=arguments.all)
    _tell(f"{settings.home} is empty{'' if arguments.all else ', except for the trained models'}")
    return 0


def _train(settings: LocalSettings, _: argparse.Namespace) -> int:
    folder.prepare(settings)

    async def train() -> int:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await run(services.training(settings), None)

    try:
        return asyncio.run(train())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _fsck(settings: LocalSettings, arguments: argparse.Namespace) -> int:
    """Request a check, show how far it is, and print what it found; 1 unless every row has its bytes."""
    settings = folder.running(settings)
    url, shown = f"{settings.address('api')}/v1/fsck", 0.0
    with _client(settings, 60) as client:
        answer = client.post(url, json={"repair": arguments.repair})
        while answer.is_success and not (check := StoreCheck.model_validate(answer.json())).is_over:
            if check.checked and time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                _tell(f"{check.checked} of {check.objects} objects, {check.checked_bytes:,} bytes")
            time.sleep(POLL_SECONDS)
            answer = client.get(url)
    if not answer.is_success:
        raise LocalError(answer.json()["detail"])
    _tell(check.readable().rstrip("\n"))
    return 0 if check.is_clean else 1


def _backup(settings: LocalSettings, arguments: argparse.Namespace) -> int:
    _tell(backup.back_up(settings, (arguments.to or settings.backups).absolute()))
    return 0


def _restore(settings: LocalSettings, arguments: argparse.Namespace) -> int:
    _tell(backup.restore(settings, (arguments.source or settings.backups).absolute(), arguments.file))
    return 0


COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "reset": _reset,
    "train": _train,
    "fsck": _fsck,
    "backup": _backup,
    "restore": _restore,
}


@contextmanager
def _client(settings: LocalSettings, seconds: float) -> Iterator[httpx.Client]:
    """A client of the running API, with the admin's token; raises LocalError when nothing answers."""
    try:
        with httpx.Client(timeout=seconds, trust_env=False, headers=tokens.header(settings)) as client:
            yield client
    except httpx.HTTPError as error:
        raise LocalError(
            f"the API does not answer on {settings.address('api')}: look into {settings.logs / 'api.log'}"
        ) from error


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")


def _fail(line: str) -> int:
    sys.stderr.write(f"marina: {line}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
