"""One watch that keeps a small record of every object of a kind, through every outage of the Kubernetes API."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from metadata_api.deploying.intervals import Intervals
from metadata_api.kubernetes import Cluster, ClusterError, ClusterRejected, Kind

T = TypeVar("T")
# After so many failures in a row the version to resume from may not mean anything any more.
RESUMES = 3
GONE = 410
log = logging.getLogger(__name__)


class Informer(Generic[T]):
    """`records` by name, kept by `follow`; whole objects are never kept.

    A watch that ends or breaks goes on where it was. A version that the server has forgotten (410), and
    failures that last, lead to a new list, which also finds what was deleted meanwhile.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        selector: str,
        parse: Callable[[dict[str, Any]], T],
        changed: Callable[[], None],
        intervals: Intervals,
    ) -> None:
        self.records: dict[str, T] = {}
        self.problem: str | None = None
        self._cluster = cluster
        self._kind = kind
        self._selector = selector
        self._parse = parse
        self._changed = changed
        self._intervals = intervals
        self._listed = asyncio.Event()
        self._version = ""
        self._away_since: float | None = None

    @property
    def away_seconds(self) -> float:
        """For how long nothing could be heard; 0 while all is well."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    async def listed(self, seconds: float) -> bool:
        """Whether `records` has been whole once, waiting for it for a while."""
        if not self._listed.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._listed.wait(), seconds)
        return self._listed.is_set()

    async def follow(self) -> None:
        """List, watch and begin again, until cancelled."""
        pause, failures = self._intervals.watch_pause, 0
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                pause, failures = self._intervals.watch_pause, 0
                continue
            except ClusterRejected as error:
                self._version = ""
                if error.status == GONE:
                    continue
                self._note(str(error))
            except ClusterError as error:
                self._note(str(error))
            except Exception as error:
                # The edge of the task: an unforeseen object must not end the watch.
                log.error("the watch of %s failed", self._kind.plural, exc_info=error)
                self._version = ""
                self._note(f"{type(error).__name__}: {error}")
            failures += 1
            if failures % RESUMES == 0:
                self._version = ""
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._intervals.longest_watch_pause)

    async def _list(self) -> None:
        found: dict[str, T] = {}

        def take(item: dict[str, Any]) -> None:
            found[item["metadata"]["name"]] = self._parse(item)

        version = await self._cluster.list(self._kind, self._selector, take)
        self.records, self._version = found, version
        self._heard()
        self._listed.set()
        self._changed()

    async def _watch(self) -> None:
        async for kind, item in self._cluster.watch(self._kind, self._selector, self._version):
            self._heard()
            metadata = item["metadata"]
            self._version = metadata["resourceVersion"]
            if kind in ("ADDED", "MODIFIED"):
                record = self._parse(item)
                if self.records.get(metadata["name"]) == record:
                    continue
                self.records[metadata["name"]] = record
            elif kind == "DELETED":
                self.records.pop(metadata["name"], None)
            else:
                continue
            self._changed()
        self._heard()

    def _heard(self) -> None:
        self._away_since = self.problem = None

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s are not watched: %s", self._kind.plural, problem)
        self.problem = problem
        if self._away_since is None:
            self._away_since = time.monotonic()
