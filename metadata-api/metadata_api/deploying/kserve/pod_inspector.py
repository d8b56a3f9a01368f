"""Looks at the pods of deployments that are not settled, in one call for all of them, and no more often than needed."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from metadata_api.deploying.intervals import Intervals
from metadata_api.deploying.kserve.inference_services import Service
from metadata_api.deploying.kserve.pods import SERVICE, Pod, PodProblem, parse, reason_of_status
from metadata_api.deploying.kserve.status import is_settled, waiting
from metadata_api.kubernetes import POD, Cluster, ClusterError

# A look takes at most this share of the time, however many pods there are.
SHARE = 5
NAMED_AT_MOST = 40
ASKED_AT_ONCE = 20
ASK_SECONDS = 2.0
log = logging.getLogger(__name__)


class PodInspector:
    """`inspect` gives the pods of every deployment that is not settled."""

    def __init__(self, cluster: Cluster, selector: str, intervals: Intervals) -> None:
        self._intervals = intervals
        self._cluster = cluster
        self._selector = selector
        self._pods: dict[str, list[Pod]] = {}
        self._settled: dict[str, tuple[str, int]] = {}
        self._since: dict[str, tuple[str, int, float]] = {}
        self._inspected: dict[str, Service] = {}
        self._next = 0.0
        self._next_changed = 0.0
        self._problem: str | None = None

    async def inspect(self, services: Mapping[str, Service]) -> Mapping[str, list[Pod]]:
        """Pods by service; a service that is settled, or whose pods could not be listed, is not in it."""
        now = time.monotonic()
        self._since = {name: self._first_seen(one, now) for name, one in services.items()}
        open_ = {name: one for name, one in services.items() if not self._is_settled(one)}
        self._pods = {name: pods for name, pods in self._pods.items() if name in open_}
        self._inspected = {name: one for name, one in self._inspected.items() if name in open_}
        changed = {name: one for name, one in open_.items() if self._inspected.get(name) != one}
        if open_ and now >= self._next:
            await self._list(open_)
            took = time.monotonic() - now
            self._next = time.monotonic() + max(self._intervals.pods, SHARE * took)
        elif 0 < len(changed) <= NAMED_AT_MOST and now >= self._next_changed:
            # A few that have just changed do not wait for the next look at all.
            await self._list(changed)
            self._next_changed = time.monotonic() + self._intervals.pods
        return self._pods

    def _first_seen(self, service: Service, now: float) -> tuple[str, int, float]:
        known = self._since.get(service.name)
        if known and known[:2] == (service.uid, service.generation):
            return known
        return service.uid, service.generation, now

    def _is_settled(self, service: Service) -> bool:
        return service.ready and self._settled.get(service.name) == (service.uid, service.generation)

    async def _list(self, services: Mapping[str, Service]) -> None:
        found: dict[str, list[Pod]] = {name: [] for name in services}

        def take(item: dict[str, object]) -> None:
            pod = parse(item)
            if pod is not None and pod.service in found:
                found[pod.service].append(pod)

        names = f" in ({','.join(sorted(services))})" if len(services) <= NAMED_AT_MOST else ""
        try:
            await self._cluster.list(POD, f"{self._selector},{SERVICE}{names}", take)
        except ClusterError as error:
            if self._problem != str(error):
                log.warning("pods cannot be listed: %s", error)
            self._problem = str(error)
            self._pods = {name: pods for name, pods in self._pods.items() if name not in services}
            return
        self._problem = None
        self._pods |= found
        self._inspected |= services
        await self._ask(services)
        for name, one in services.items():
            is_old = time.monotonic() - self._since[name][2] > self._intervals.new_pods
            if is_old and is_settled(one, self._pods[name]):
                self._settled[name] = (one.uid, one.generation)

    async def _ask(self, services: Mapping[str, Service]) -> None:
        """A model that cannot be loaded leaves its process running: the process itself says why."""
        quiet = [(name, pod) for name, one in services.items() if (pod := waiting(one, self._pods[name]))]
        answers = await asyncio.gather(*(self._reason(pod) for _, pod in quiet[:ASKED_AT_ONCE]))
        for (name, pod), reason in zip(quiet, answers, strict=False):
            if reason is not None:
                told = replace(pod, problem=PodProblem("failed", reason))
                self._pods[name] = [told if one is pod else one for one in self._pods[name]]

    async def _reason(self, pod: Pod) -> str | None:
        assert pod.status_url
        try:
            return reason_of_status(await self._cluster.ask(pod.status_url, ASK_SECONDS))
        except ClusterError:
            return None
