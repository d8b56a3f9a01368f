"""Which models shall be served: read from the models file whenever it changes, or from the folder of a pod."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import orjson

from serving_runtime.contracts import (
    BASE_ENVIRONMENT,
    BATCH_DELAY_MS_BOUNDS,
    BATCH_SIZE_BOUNDS,
    NAME,
    RUNTIMES,
)
from serving_runtime.models.registry import Models
from serving_runtime.models.version import ModelEntry
from serving_runtime.settings import Settings
from serving_runtime.watched_file import WatchedFile

POLL_SECONDS = 0.3
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = logging.getLogger(__name__)


class ModelSourceError(ValueError):
    """The list of models cannot be read; the text says why."""


class ModelSource:
    """Keeps a Models equal to the settings' source. `problem` is set while the source cannot be read."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self._settings = settings
        self._models = models
        path = settings.models_file
        self._file = WatchedFile(path, _read) if path else None
        self._has_pod = False
        self.problem: str | None = None

    async def follow(self) -> None:
        """Reconcile now and after each change of the models file, for ever."""
        while True:
            self.poll()
            await asyncio.sleep(POLL_SECONDS)

    def poll(self) -> None:
        """Reconcile once if something changed. A file that cannot be read leaves the models as they are."""
        try:
            entries = self._changed()
        except (ValueError, OSError) as error:
            problem = f"{self._file.path} is not read: {error}" if self._file else str(error)
            if self.problem != problem:
                _log.error("%s; the models stay as they are", problem)
            self.problem = problem
            return
        if entries is not None:
            self.problem = None
            self._models.reconcile(entries)

    def _changed(self) -> list[ModelEntry] | None:
        if self._file is None:
            return None if self._has_pod else self._pod()
        try:
            return self._file.changed()
        except FileNotFoundError:
            return []

    def _pod(self) -> list[ModelEntry]:
        name, folder = self._settings.model.name, self._settings.model.dir
        assert name is not None
        assert folder is not None
        # A store for KServe's TorchServe runtime has `config` and `model-store` beside each other.
        archives = sorted([*folder.glob("*.mar"), *(folder / "model-store").glob("*.mar")])
        if len(archives) != 1:
            raise ModelSourceError(f"{folder} must hold one .mar file, it holds {len(archives)}")
        self._has_pod = True
        model = self._settings.model
        return [
            ModelEntry(
                name,
                model.version,
                archives[0],
                model.sha256 or None,
                self._settings.runtime,
                model.startup_seconds,
                model.response_seconds,
                self._settings.environment,
                model.batch_size,
                model.batch_delay_ms,
            )
        ]


def _read(content: bytes) -> list[ModelEntry]:
    """Read `{"models": [{"name", "version", "mar", "sha256", "runtime"}]}`. Raises ModelSourceError.

    A model may have `startup_seconds`, `response_seconds`, `environment`, `batch_size` and `batch_delay_ms` as well.
    """
    try:
        document = orjson.loads(content)
        listed = document["models"]
        entries = [_entry(item) for item in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelSourceError(f"it is no list of models: {type(error).__name__} {error}"[:500]) from None
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise ModelSourceError("it names a model twice")
    return entries


def _entry(item: dict[str, Any]) -> ModelEntry:
    name, version = str(item["name"]), str(item["version"])
    runtime = item.get("runtime", RUNTIMES[0])
    sha256 = item.get("sha256")
    if not NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise ValueError(f"bad name or version: {name[:64]!r} {version[:64]!r}")
    if runtime not in RUNTIMES:
        raise ValueError(f"model {name!r}: runtime must be one of {', '.join(RUNTIMES)}")
    if sha256 is not None and (type(sha256) is not str or len(sha256) != 64):
        raise ValueError(f"model {name!r}: sha256 must have 64 hexadecimal digits")
    environment = item.get("environment", BASE_ENVIRONMENT)
    if type(environment) is not str or not NAME.fullmatch(environment):
        raise ValueError(f"model {name!r}: environment must be a name")
    startup, response = _seconds(item, "startup_seconds"), _seconds(item, "response_seconds")
    size = _whole(item, "batch_size", BATCH_SIZE_BOUNDS)
    delay = _whole(item, "batch_delay_ms", BATCH_DELAY_MS_BOUNDS)
    return ModelEntry(
        name, version, Path(item["mar"]), sha256, runtime, startup, response, environment, size, delay
    )


def _whole(item: dict[str, Any], key: str, bounds: tuple[int, int]) -> int | None:
    value = item.get(key)
    if value is not None and (type(value) is not int or not bounds[0] <= value <= bounds[1]):
        raise ValueError(
            f"model {item['name']!r}: {key} must be a whole number from {bounds[0]} to {bounds[1]}"
        )
    return value


def _seconds(item: dict[str, Any], key: str) -> float | None:
    value = item.get(key)
    if value is not None and (type(value) not in (int, float) or value <= 0):
        raise ValueError(f"model {item['name']!r}: {key} must be a number above 0")
    return value
