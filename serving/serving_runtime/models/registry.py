"""The set of models that this process serves, kept equal to what the models file wants.

A changed version is started beside the old one, proven, and only then gets the traffic; the old one finishes what it
has and ends. A version that cannot be served never gets traffic: the old one goes on, and /status says why.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from serving_runtime.errors import LoadFailed, Unavailable, UnknownModel
from serving_runtime.models.version import Entry, Shared, Version

_RETRY_SECONDS = (5.0, 15.0, 60.0, 300.0)

_log = logging.getLogger(__name__)


@dataclass
class _Slot:
    """One model name: what is wanted, what answers, and what is on its way."""

    wanted: Entry
    live: Version | None = None
    bringing: asyncio.Task[None] | None = None
    failed: str | None = None
    stopping: bool = False

    def status(self) -> dict[str, Any]:
        live = self.live
        serving = live is not None and live.ready
        current = live is not None and live.entry == self.wanted
        if self.stopping:
            state, reason = "stopping", None
        elif self.failed is not None:
            state, reason = "failed", self.failed
        elif current and live is not None:
            state, reason = ("ready" if serving else "starting"), live.reason
        else:
            state, reason = "starting", None
        return {
            "name": self.wanted.name,
            "wanted_version": self.wanted.version,
            "live_version": live.entry.version if live is not None and serving else None,
            "state": state,
            "reason": reason,
            "restarts": live.restarts if live is not None else 0,
            "runtime": self.wanted.runtime,
            "processes": live.processes if live is not None else [],
        }


class Models:
    """`reconcile` with what is wanted, `find` what answers, `close` at the end."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._slots: dict[str, _Slot] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def reconcile(self, entries: Iterable[Entry]) -> None:
        """Start, replace and stop models until there are exactly `entries`; returns at once."""
        wanted = {entry.name: entry for entry in entries}
        for name, slot in self._slots.items():
            if name not in wanted and not slot.stopping:
                self._retire(slot)
        for name, entry in wanted.items():
            known = self._slots.get(name)
            if known is None or known.stopping:
                known = self._slots[name] = _Slot(entry)
            elif known.wanted == entry:
                continue
            self._want(known, entry)

    def find(self, name: str, version: str | None = None) -> Version:
        """The version that answers for a model. Raises UnknownModel, or Unavailable while there is none."""
        slot = self._slots.get(name)
        if slot is None:
            raise UnknownModel(f"there is no model {name[:64]!r}")
        live = slot.live
        if version is not None and (live is None or live.entry.version != version):
            if slot.wanted.version == version:
                raise Unavailable(
                    f"version {version} of model {name!r} is not ready: {slot.failed or 'starting'}"
                )
            raise UnknownModel(f"model {name!r} has no version {version[:64]!r}")
        if live is None:
            raise Unavailable(f"model {name!r} is not ready: {slot.failed or slot.status()['state']}")
        return live

    def status(self) -> list[dict[str, Any]]:
        """One entry for each model, sorted by name."""
        return [self._slots[name].status() for name in sorted(self._slots)]

    @property
    def ready(self) -> bool:
        """Whether every wanted model has a version that answers."""
        return all(
            slot.live is not None and slot.live.ready for slot in self._slots.values() if not slot.stopping
        )

    @property
    def live(self) -> list[Version]:
        """Every version that takes traffic."""
        return [slot.live for slot in self._slots.values() if slot.live is not None]

    async def close(self) -> None:
        """Stop everything at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(version.stop() for version in self.live), return_exceptions=True)
        self._slots.clear()

    def _want(self, slot: _Slot, entry: Entry) -> None:
        slot.wanted, slot.failed = entry, None
        if slot.bringing is not None:
            slot.bringing.cancel()
            slot.bringing = None
        if slot.live is None or slot.live.entry != entry:
            slot.bringing = self._run(self._bring(slot, entry))

    async def _bring(self, slot: _Slot, entry: Entry) -> None:
        for attempt in range(1_000_000):
            version = Version(entry, self._shared)
            try:
                async with self._shared.starts:
                    await version.start()
            except LoadFailed as error:
                slot.failed = str(error)
                _log.error("model %s version %s cannot be served: %s", entry.name, entry.version, error)
                await version.stop()
            except asyncio.CancelledError:
                await asyncio.shield(self._run(version.stop()))
                raise
            except Exception as error:
                slot.failed = f"unexpected {type(error).__name__}: {error}"
                _log.exception("model %s version %s cannot be served", entry.name, entry.version)
                await version.stop()
            else:
                self._switch(slot, version)
                return
            await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])

    def _switch(self, slot: _Slot, version: Version) -> None:
        old, slot.live = slot.live, version
        slot.failed = slot.bringing = None
        _log.info("model %s version %s is ready", version.entry.name, version.entry.version)
        if old is not None:
            self._run(self._end(old))

    def _retire(self, slot: _Slot) -> None:
        slot.stopping = True
        if slot.bringing is not None:
            slot.bringing.cancel()
        self._run(self._end_slot(slot))

    async def _end_slot(self, slot: _Slot) -> None:
        if slot.live is not None:
            await self._end(slot.live)
        if self._slots.get(slot.wanted.name) is slot:
            del self._slots[slot.wanted.name]

    async def _end(self, version: Version) -> None:
        await version.stop(drain_seconds=self._shared.settings.deadline_seconds)
        _log.info("model %s version %s is stopped", version.entry.name, version.entry.version)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
