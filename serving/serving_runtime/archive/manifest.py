"""What the manifest of a `.mar` may say, its canonical form, and how an unpacked one is read."""

import json
import re
from pathlib import Path
from typing import Any

from serving_runtime.archive.errors import MarError

MANIFEST = "MAR-INF/MANIFEST.json"
# In a manifest for TorchServe: the archive's own `model`, of which Java shall read nothing.
ARCHIVE_MODEL = "archiveModel"
# In an unpacked archive: the batch size of its deployment, which wins over that of the archive's configuration file. No
# archive has a file of this name: see `_reject_files`.
BATCH_SIZE = "MAR-INF/batch_size"
# Handlers that TorchServe brings along: an archive may name one of them instead of a file.
TORCHSERVE_HANDLERS = (
    "base_handler",
    "image_classifier",
    "image_segmenter",
    "object_detector",
    "text_classifier",
)

_CREATED_ON = "01/01/1980 00:00:00"
_LAYOUT_VERSION = "1.0"
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# `file`, `file.py`, `folder/file.py`, each with or without `:function`; which files there are says the archive.
_HANDLER = re.compile(r"([^:\\]{1,255}?)(\.py)?(:[^\W\d]\w*)?")
_PLAIN_HANDLER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.py)?(:[A-Za-z_][A-Za-z0-9_]*)?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
# It would change how TorchServe calls the handler. `requirementsFile` is left out of what is kept: nothing is installed
# for an archive, its environment has to have it; see `needs`.
_REJECTED = (
    ("envelope", "envelope", "The v2 protocol is spoken before the handler: leave the envelope out"),
)


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of an unpacked archive."""
    manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text("utf-8"))
    return manifest


def batch_size_of_deployment(directory: Path) -> int | None:
    """What the deployment of an unpacked archive says of its batches, if it says something."""
    try:
        return int((directory / BATCH_SIZE).read_text("ascii"))
    except FileNotFoundError:
        return None


def canonical(manifest: dict[str, Any], files: set[str]) -> dict[str, Any]:
    """The manifest with its meaning kept and everything else constant. Raises MarError.

    `files` are the names of the archive's other files. modelName, handler, serializedFile, modelFile,
    modelVersion and configFile are kept; extraFiles is what the archive holds beside them.
    """
    if manifest.get("runtime", "python") not in ("python", "python3"):
        raise MarError("bad_runtime", "The manifest's runtime must be python. Pack with --runtime python.")
    found = manifest.get("model")
    if not isinstance(found, dict):
        raise _bad_manifest("it has no model")
    model = {key: value for key, value in found.items() if value is not None}
    _reject_settings(model)
    _reject_files(files)
    handler = _handler(_text(model, "handler", _HANDLER), files)
    kept = {
        "modelName": _text(model, "modelName", _MODEL_NAME),
        "serializedFile": _file(model, "serializedFile", files),
        "handler": handler,
        "modelFile": _file(model, "modelFile", files),
        "modelVersion": _text({"modelVersion": "1.0", **model}, "modelVersion", _VERSION),
        "configFile": _file(model, "configFile", files),
    }
    named = {kept["serializedFile"], kept["modelFile"], kept["configFile"], file_of(handler)}
    kept["extraFiles"] = ",".join(sorted(files - named)) or None
    return {
        "createdOn": _CREATED_ON,
        "runtime": "python",
        "model": {key: value for key, value in kept.items() if value is not None},
        "archiverVersion": _LAYOUT_VERSION,
    }


def _reject_settings(model: dict[str, Any]) -> None:
    for key, code, instead in _REJECTED:
        if key in model:
            raise MarError(code, f"The manifest's {key} is not accepted. {instead} and pack again.")


def _reject_files(files: set[str]) -> None:
    for name in sorted(files):
        folders = name.split("/")[:-1]
        if name.endswith((".pyc", ".pyo")) or "__pycache__" in folders:
            # Python would run it instead of the source that people read.
            raise MarError("bytecode", f"{name} is compiled Python. Pack the sources only.")
        if folders and folders[0].upper() == "MAR-INF":
            raise MarError("bad_name", f"{name}: only MANIFEST.json belongs into MAR-INF. Move the file.")


def _text(model: dict[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    value = model.get(key)
    if not isinstance(value, str):
        raise _bad_manifest(f"its {key} is missing")
    if not pattern.fullmatch(value):
        raise _bad_manifest(
            f"its {key} {ascii(value[:80])} has characters that are not accepted, or too many"
        )
    return value


def _file(model: dict[str, Any], key: str, files: set[str]) -> str | None:
    value = model.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or value not in files:
        raise MarError(
            "file_missing", f"The manifest's {key} is not in the archive. Pack it again with that file."
        )
    return value


def _handler(handler: str, files: set[str]) -> str:
    if file_of(handler) in files or handler in TORCHSERVE_HANDLERS:
        return handler
    shown = handler[:80] if handler.isprintable() else ascii(handler[:80])
    if handler in files:
        raise MarError(
            "bad_handler", f"The handler {shown} must end in .py: rename the file and pack it again."
        )
    if not _PLAIN_HANDLER.fullmatch(handler):
        raise _bad_manifest(
            f"its handler {shown} is not a file of the archive, nor FILE.py:FUNCTION with one"
        )
    raise MarError(
        "bad_handler",
        f"The handler {shown} must be a file of the archive: pack it again with --handler FILE.py. TorchServe's own "
        "handlers go by their names without .py, where the serving image has the packages that they need.",
    )


def file_of(handler: str) -> str:
    """The file that a handler `file`, `file.py` or `file.py:function` lies in, if it is one of the archive."""
    found = _HANDLER.fullmatch(handler)
    assert found is not None
    return f"{found[1]}.py"


def _bad_manifest(what: str) -> MarError:
    return MarError(
        "bad_manifest", f"The manifest is not usable: {what}. Pack again with torch-model-archiver."
    )
