"""`.mar` files as they are pushed: the model's name in the manifest, and their bytes, counted while they travel."""

import importlib.util
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rich.progress import Progress, TaskID

from marina.errors import Failure, WrongUse
from marina.names import checked_name

MANIFEST = "MAR-INF/MANIFEST.json"
MAX_MANIFEST_BYTES = 1024 * 1024
PART_BYTES = 256 * 1024


def model_name(path: Path) -> str:
    """The name that an archive gives its model, if an experiment may be called so. Raises WrongUse."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(MANIFEST) as file:
            manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
            name = manifest["model"]["modelName"]
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        raise WrongUse(
            f"{path} is no .mar archive: make one by `marina pack` or torch-model-archiver"
        ) from error
    return checked_name(name, f"{path} calls its model {str(name)[:60]!r}: name one by --experiment")


def opened(path: Path) -> BinaryIO:
    """A file to send. Raises WrongUse."""
    try:
        return path.open("rb")
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error


def upload(path: Path, signature: Path | None, progress: Progress) -> dict[str, Any]:
    """What httpx sends: the archive as the body, or as a form with its signature. Raises WrongUse.

    A signature that is not named is looked for beside the archive, as FILE.mar.sig.
    """
    beside = path.with_name(f"{path.name}.sig")
    signature = signature or (beside if beside.exists() else None)
    file, signed = opened(path), None
    if signature:
        with opened(signature) as beside_it:
            signed = beside_it.read()
    size = path.stat().st_size
    counted = _Counted(file, progress, progress.add_task(f"uploading {path.name}", total=size))
    if signed is not None:
        return {"files": {"file": (path.name, counted), "signature": ("signature", signed)}}
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    return {"content": counted.parts(), "headers": headers}


def check(paths: Sequence[Path], as_json: bool, tell: Callable[[str], None]) -> int:
    """Tell line by line what serving says of archives; its exit code. Raises Failure where it is not installed."""
    if importlib.util.find_spec("serving_runtime") is None:
        raise Failure(
            "check needs Marina itself, not only its command line: run .venv/bin/marina where it is installed"
        )
    options = ["--json"] if as_json else []
    command = [sys.executable, "-m", "serving_runtime.archive.check", *options, *map(str, paths)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            tell(line.rstrip("\n"))
    return process.returncode


class _Counted:
    """A file that shows how much of it has been read."""

    def __init__(self, file: BinaryIO, progress: Progress, task: TaskID) -> None:
        self._file, self._progress, self._task = file, progress, task

    def read(self, size: int = -1) -> bytes:
        part = self._file.read(size)
        self._progress.advance(self._task, len(part))
        return part

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        return self._file.fileno()

    def parts(self) -> Iterator[bytes]:
        with self._file:
            while part := self.read(PART_BYTES):
                yield part
