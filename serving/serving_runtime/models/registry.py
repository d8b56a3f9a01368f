"""The set of models that this process serves, kept equal to what the models file lists.

A changed version is started beside the old one and passes its self-test before it gets the traffic; the old one
finishes what it has and ends. A version that cannot be served never gets traffic: the old one goes on, and /status
says why.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from serving_runtime.errors import LoadFailed, NotFound, Unavailable
from serving_runtime.models.version import ModelEntry, Shared, Version

_RETRY_SECONDS = (5.0, 15.0, 60.0, 300.0)

_SLOT_SECONDS = 20.0  # in which most models have loaded

_log = logging.getLogger(__name__)


@dataclass
class _ManagedModel:
    """One model name: what is desired, what answers, and what is on its way."""

    desired: ModelEntry
    live: Version | None = None
    starting: asyncio.Task[None] | None = None
    failed: str | None = None
    stopping: bool = False

    def status(self) -> dict[str, Any]:
        live = self.live
        serving = live is not None and live.ready
        current = live is not None and live.entry == self.desired
        if self.stopping:
            state, reason = "stopping", None
        elif self.failed is not None:
            state, reason = "failed", self.failed
        elif current and live is not None:
            state, reason = ("ready" if serving else "starting"), live.reason
        else:
            state, reason = "starting", None
        return {
            "name": self.desired.name,
            "desired_version": self.desired.version,
            "live_version": live.entry.version if live is not None and serving else None,
            "state": state,
            "reason": reason,
            "restarts": live.restarts if live is not None else 0,
            "runtime": self.desired.runtime,
            "environment": self.desired.environment,
            "processes": live.processes if live is not None else [],
            "not_honoured": list(live.config.not_honoured) if live is not None else [],
            "containment": live.containment if live is not None else None,
        }


class Models:
    """`reconcile` with what is desired, `find` what answers, `close` at the end."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._models: dict[str, _ManagedModel] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def reconcile(self, entries: Iterable[ModelEntry]) -> None:
        """Start, replace and stop models until there are exactly `entries`; returns at once."""
        desired = {entry.name: entry for entry in entries}
        for name, model in self._models.items():
            if name not in desired and not model.stopping:
                self._retire(model)
        for name, entry in desired.items():
            known = self._models.get(name)
            if known is None or known.stopping:
                known = self._models[name] = _ManagedModel(entry)
            elif known.desired == entry:
                continue
            self._set_desired(known, entry)

    def find(self, name: str, version: str | None = None) -> Version:
        """The version that answers for a model. Raises NotFound, or Unavailable while there is none."""
        model = self._models.get(name)
        if model is None:
            raise NotFound(f"there is no model {name[:64]!r}")
        live = model.live
        if version is not None and (live is None or live.entry.version != version):
            if model.desired.version == version:
                raise Unavailable(
                    f"version {version} of model {name!r} is not ready: {model.failed or 'starting'}"
                )
            raise NotFound(f"model {name!r} has no version {version[:64]!r}")
        if live is None:
            raise Unavailable(f"model {name!r} is not ready: {model.failed or model.status()['state']}")
        return live

    def state(self, name: str) -> str:
        """The state of one model. Raises NotFound."""
        if name not in self._models:
            raise NotFound(f"there is no model {name[:64]!r}")
        return str(self._models[name].status()["state"])

    def status(self) -> list[dict[str, Any]]:
        """One entry for each model, sorted by name."""
        return [self._models[name].status() for name in sorted(self._models)]

    @property
    def ready(self) -> bool:
        """Whether every desired model has a version that answers."""
        return all(
            model.live is not None and model.live.ready
            for model in self._models.values()
            if not model.stopping
        )

    @property
    def live(self) -> list[Version]:
        """Every version that takes traffic."""
        return [model.live for model in self._models.values() if model.live is not None]

    async def close(self) -> None:
        """Stop everything at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(version.stop() for version in self.live), return_exceptions=True)
        self._models.clear()

    def _set_desired(self, model: _ManagedModel, entry: ModelEntry) -> None:
        model.desired, model.failed = entry, None
        if model.starting is not None:
            model.starting.cancel()
            model.starting = None
        if model.live is None or model.live.entry != entry:
            model.starting = self._run(self._start(model, entry))

    async def _start(self, model: _ManagedModel, entry: ModelEntry) -> None:
        for attempt in range(1_000_000):
            version = Version(entry, self._shared)
            try:
                await self._in_turn(version)
            except LoadFailed as error:
                model.failed = str(error)
                _log.error("model %s version %s cannot be served: %s", entry.name, entry.version, error)
                version.note(f"cannot be served: {error}")
                await version.stop()
            except asyncio.CancelledError:
                await asyncio.shield(self._run(version.stop()))
                raise
            except Exception as error:
                model.failed = f"unexpected {type(error).__name__}: {error}"
                _log.exception("model %s version %s cannot be served", entry.name, entry.version)
                await version.stop()
            else:
                self._cut_over(model, version)
                return
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])

    async def _in_turn(self, version: Version) -> None:
        """Start a version; only a few begin at a time, but one that loads for long holds up nobody."""
        async with self._shared.starts:
            start = self._run(version.start())
            try:
                await asyncio.wait([start], timeout=_SLOT_SECONDS)
            except asyncio.CancelledError:
                start.cancel()
                raise
        try:
            await start
        finally:
            start.cancel()

    def _cut_over(self, model: _ManagedModel, version: Version) -> None:
        old, model.live = model.live, version
        model.failed = model.starting = None
        _log.info("model %s version %s is ready", version.entry.name, version.entry.version)
        version.note("is ready")
        if old is not None:
            self._run(self._drain(old))

    def _retire(self, model: _ManagedModel) -> None:
        model.stopping = True
        if model.starting is not None:
            model.starting.cancel()
        self._run(self._remove(model))

    async def _remove(self, model: _ManagedModel) -> None:
        if model.live is not None:
            await self._drain(model.live)
        if self._models.get(model.desired.name) is model:
            del self._models[model.desired.name]

    async def _drain(self, version: Version) -> None:
        await version.stop(drain_seconds=version.response_seconds)
        _log.info("model %s version %s is stopped", version.entry.name, version.entry.version)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
