"""How the models of ready pods are contained, as their own servers say; kept by the deployer beside its watches."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from metadata_api.deploying.kserve.inference_services import Service
from metadata_api.deploying.kserve.pods import Pod
from metadata_api.deploying.kserve.status import is_of
from metadata_api.kubernetes import Cluster, ClusterError

ASKED_AT_ONCE = 20
ASK_SECONDS = 2.0

_Key = tuple[str, int]
"""uid and generation of an InferenceService: what is of the same is contained alike."""


class ContainmentReports:
    """`see` says which pods are ready, `follow` asks one of each service, `of` is its answer."""

    def __init__(self, cluster: Cluster, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._changed = changed
        self._reports: dict[str, tuple[_Key, Mapping[str, Any]]] = {}
        self._unasked: dict[str, tuple[_Key, str]] = {}
        self._is_there = asyncio.Event()

    def see(self, services: Mapping[str, Service], pods: Mapping[str, Sequence[Pod]]) -> None:
        """Remember a ready pod of each service whose report is not known, and forget services that are gone."""
        self._reports = {name: one for name, one in self._reports.items() if name in services}
        self._unasked = {name: one for name, one in self._unasked.items() if name in services}
        for name, found in pods.items():
            service = services.get(name)
            if service is None or self.of(service) is not None:
                continue
            for pod in found:
                if pod.ready and pod.status_url and is_of(pod, service):
                    self._unasked[name] = (_key(service), pod.status_url)
                    self._is_there.set()
                    break

    def of(self, service: Service) -> Mapping[str, Any] | None:
        """What is in force for a service's model; None when it is off or not known yet."""
        key, report = self._reports.get(service.name, (None, None))
        return report if key == _key(service) else None

    async def follow(self) -> None:
        """Ask, until cancelled."""
        while True:
            await self._is_there.wait()
            asked = dict(list(self._unasked.items())[:ASKED_AT_ONCE])
            answers = await asyncio.gather(*(self._ask(url) for _, url in asked.values()))
            for (name, (key, _)), report in zip(asked.items(), answers, strict=True):
                if self._unasked.get(name, (None,))[0] == key:
                    del self._unasked[name]
                if report is not None:
                    self._reports[name] = (key, report)
            if not self._unasked:
                self._is_there.clear()
            # A server that has nothing to say is asked again in the next round, and must not bring that about.
            if any(report is not None for report in answers):
                self._changed()

    async def _ask(self, url: str) -> Mapping[str, Any] | None:
        try:
            [model] = orjson.loads(await self._cluster.ask(url, ASK_SECONDS))["models"]
            report = model["containment"]
        except (ClusterError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return None
        return report if isinstance(report, dict) else None


def _key(service: Service) -> _Key:
    return service.uid, service.generation
