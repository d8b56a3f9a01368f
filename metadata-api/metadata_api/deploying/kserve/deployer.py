"""The deployer for Kubernetes: InferenceServices and their routes, kept as desired; `create_app` makes it.

One watch on InferenceServices (and one on routes) says what is there; pods are listed only for deployments
that are not settled. Nothing is written to the Kubernetes API unless it differs from what this process wrote last.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from metadata_api.deploying.base import Desired, Observed
from metadata_api.deploying.helm_release import HelmDeployment, HelmRelease
from metadata_api.deploying.intervals import DEFAULT, Intervals
from metadata_api.deploying.kserve import inference_services, pod_logs, reasons, routes
from metadata_api.deploying.kserve.config import KServeConfig
from metadata_api.deploying.kserve.containment import ContainmentReports
from metadata_api.deploying.kserve.inference_services import HELM, INSTANCE, MANAGER, Service
from metadata_api.deploying.kserve.informer import Informer
from metadata_api.deploying.kserve.pod_inspector import PodInspector
from metadata_api.deploying.kserve.routes import Route, route_name
from metadata_api.deploying.kserve.stale_routes import remove_stale_routes
from metadata_api.deploying.kserve.status import derive
from metadata_api.deploying.kserve.written import Rejected, Written, is_as_observed, left_undone
from metadata_api.deploying.logs import LogPart
from metadata_api.errors import Unavailable
from metadata_api.kubernetes import (
    AT_ONCE,
    INFERENCE_SERVICE,
    Cluster,
    ClusterAway,
    ClusterError,
    ClusterRejected,
    Kind,
)

Json = dict[str, Any]
log = logging.getLogger(__name__)


class KServeDeployer:
    """Writes InferenceServices, and Ingresses or HTTPRoutes, into one namespace; tells `helm` what Helm has there."""

    backend_name = "KServe"

    def __init__(
        self,
        config: KServeConfig,
        cluster: Cluster,
        helm: HelmRelease,
        intervals: Intervals = DEFAULT,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._intervals = intervals
        self._helm = helm
        helm.is_known = False
        self._leads = leads
        self.changed = asyncio.Event()
        self._config = config
        self._cluster = cluster
        self._route_kind = routes.KINDS.get(config.expose.mode)
        selector = self._selector = f"{INSTANCE}={config.release}"
        self._stale_routes_are_gone = False
        self._services: Informer[Service] = Informer(
            cluster, INFERENCE_SERVICE, selector, inference_services.parse, self.changed.set, intervals
        )
        self._routes: Informer[Route] | None = None
        if self._route_kind:
            self._routes = Informer(
                cluster, self._route_kind, selector, routes.parse, self.changed.set, intervals
            )
        self._inspector = PodInspector(cluster, selector, intervals)
        self._containment = ContainmentReports(cluster, self.changed.set)
        self._written: dict[tuple[Kind, str], Written] = {}
        self._rejected: dict[str, Rejected] = {}

    @property
    def watches(self) -> Mapping[str, float]:
        """For how many seconds the watches have heard nothing."""
        routes_away = {"routes": self._routes.away_seconds} if self._routes else {}
        return {INFERENCE_SERVICE.plural: self._services.away_seconds, **routes_away}

    async def follow(self) -> None:
        """Keep the watches, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._services.follow())
            tasks.create_task(self._containment.follow())
            if self._routes:
                tasks.create_task(self._routes.follow())

    async def apply(
        self, desired: Sequence[Desired], *, only: Collection[str] | None = None
    ) -> Sequence[str]:
        """Write what is missing or differs, delete what is ours and not desired; raises Unavailable.

        One object that is rejected holds up no other. With `only` nothing is deleted, and of what
        is there only these names are written.
        """
        await self._listed()
        undone: list[str] = []
        if only is not None:
            undone = left_undone(self._services.records.values(), {one.name: one for one in desired}, only)
            desired = [one for one in desired if one.name in only or one.name not in self._services.records]
        by_name = {one.name: one for one in desired}
        self._rejected = {
            name: one for name, one in self._rejected.items() if by_name.get(name) == one.desired
        }
        for name, one in by_name.items():
            service = self._services.records.get(name)
            if service is not None and service.manager not in (MANAGER, HELM):
                self._rejected[name] = Rejected(
                    one, reasons.not_ours(INFERENCE_SERVICE, name), time.monotonic()
                )
        # What is new or changed goes first: after a restart everything is written once more.
        order = sorted(desired, key=lambda one: is_as_observed(self._services.records.get(one.name), one))
        room = asyncio.Semaphore(AT_ONCE)
        jobs = [self._one(one, room) for one in order if self._may_write(one) and not self._is_done(one)]
        if only is None:
            jobs += [self._remove(kind, found, room) for kind, found in self._surplus(by_name)]
        away = [error for error in await asyncio.gather(*jobs) if error is not None]
        if away:
            raise Unavailable("kubernetes_unreachable", reasons.sentence(away[0]))
        if not self._stale_routes_are_gone:
            mode = self._config.expose.mode
            self._stale_routes_are_gone = await remove_stale_routes(self._cluster, mode, self._selector)
        return undone

    async def observe(self) -> Mapping[str, Observed]:
        """What runs now, by name; raises Unavailable when the Kubernetes API was away for too long."""
        await self._listed()
        if self._services.away_seconds > self._intervals.believed:
            raise Unavailable(
                "kubernetes_unreachable", reasons.sentence(self._services.problem or "no answer")
            )
        services = self._services.records
        pods = await self._inspector.inspect(services)
        self._containment.see(services, pods)
        observed = {
            name: replace(
                derive(service, pods.get(name), self._rejection(name)),
                containment=self._containment.of(service),
            )
            for name, service in services.items()
        }
        self._helm.deployments = {
            name: HelmDeployment(spec, observed[name])
            for name, service in services.items()
            if (spec := service.helm_spec)
        }
        self._helm.is_known = True
        for name, rejected in self._rejected.items():
            service = services.get(name)
            live = observed[name].live if service and service.manager != HELM else None
            desired = rejected.desired
            observed[name] = Observed("failed", desired.version, live, rejected.reason, desired.runtime)
        return observed

    async def log(self, name: str, lines: int) -> Sequence[LogPart]:
        """The last lines of the newest pods of a deployment; raises Unavailable."""
        try:
            return await pod_logs.read(self._cluster, self._selector, name, lines)
        except ClusterError as error:
            raise Unavailable("kubernetes_unreachable", reasons.sentence(str(error))) from error

    async def _listed(self) -> None:
        informers: list[Informer[Any]] = [self._services, *([self._routes] if self._routes else [])]
        for informer in informers:
            if not await informer.listed(0 if informer.problem else self._intervals.first_list):
                problem = informer.problem or "the Kubernetes API has not answered yet"
                raise Unavailable("kubernetes_unreachable", reasons.sentence(problem))

    def _may_write(self, desired: Desired) -> bool:
        service = self._services.records.get(desired.name)
        rejected = self._rejected.get(desired.name)
        if rejected is not None and time.monotonic() < rejected.again:
            return False
        return service is None or (service.manager == MANAGER and not service.deleting)

    async def _one(self, desired: Desired, room: asyncio.Semaphore) -> ClusterAway | None:
        """Write an InferenceService, then its route; an answer that never came is returned."""
        name = desired.name
        try:
            if not self._is_written(INFERENCE_SERVICE, name, desired, ""):
                body = inference_services.build(self._config, desired)
                await self._write(INFERENCE_SERVICE, body, desired, "", room)
            owner = self._written[INFERENCE_SERVICE, name].uid
            if self._route_kind and not self._is_written(self._route_kind, route_name(name), desired, owner):
                body = routes.build(self._config, desired, owner)
                await self._write(self._route_kind, body, desired, owner, room)
        except ClusterAway as error:
            return error
        except ClusterRejected as error:
            reason = reasons.rejected(body, error)
            if name not in self._rejected:
                log.warning("deployment %s: %s", name, reason)
            self._rejected[name] = Rejected(desired, reason, time.monotonic() + self._intervals.retry)
        else:
            self._rejected.pop(name, None)
        return None

    def _is_done(self, desired: Desired) -> bool:
        service = self._written.get((INFERENCE_SERVICE, desired.name))
        return (
            service is not None
            and self._is_written(INFERENCE_SERVICE, desired.name, desired, "")
            and (
                self._route_kind is None
                or self._is_written(self._route_kind, route_name(desired.name), desired, service.uid)
            )
        )

    def _is_written(self, kind: Kind, name: str, desired: Desired, owner: str) -> bool:
        """Whether an object was applied as it has to be, is there, and is unchanged since."""
        written = self._written.get((kind, name))
        if written is None or (written.desired, written.owner) != (desired, owner):
            return False
        found = self._found(kind, name)
        if found is None:
            return time.monotonic() - written.at < self._intervals.echo
        return found.deleting or (found.uid == written.uid and found.generation <= written.generation)

    async def _write(
        self, kind: Kind, body: Json, desired: Desired, owner: str, room: asyncio.Semaphore
    ) -> None:
        name = body["metadata"]["name"]
        async with room:
            # One that was stopped in the middle of a round may wake up beside a new leader.
            self._require_leading()
            found = self._found(kind, name)
            # Without force, fields of another owner's object of the same name are a conflict.
            if found is None and not await self._is_free(kind, name):
                raise ClusterRejected(409, reasons.not_ours(kind, name))
            self._require_leading()
            item = await self._cluster.apply(kind, body, force=found is not None)
        metadata = item["metadata"]
        generation = int(metadata.get("generation") or 0)
        self._written[kind, name] = Written(desired, owner, metadata["uid"], generation, time.monotonic())

    def _found(self, kind: Kind, name: str) -> Service | Route | None:
        if kind is INFERENCE_SERVICE:
            return self._services.records.get(name)
        return self._routes.records.get(name) if self._routes else None

    async def _is_free(self, kind: Kind, name: str) -> bool:
        item = await self._cluster.get(kind, name)
        item_labels = item["metadata"].get("labels") or {} if item else {}
        ours = item_labels.get(INSTANCE) == self._config.release
        return item is None or (ours and item_labels.get(inference_services.MANAGED_BY) == MANAGER)

    def _surplus(self, desired: Mapping[str, Desired]) -> list[tuple[Kind, Service | Route]]:
        """Ours, by label, and not desired any more; routes first, so that no request goes to a model that ends."""
        found: list[tuple[Kind, Service | Route]] = []
        if self._routes and self._route_kind:
            names = {route_name(name) for name in desired}
            found += [
                (self._route_kind, one) for one in self._routes.records.values() if one.name not in names
            ]
        found += [
            (INFERENCE_SERVICE, one) for one in self._services.records.values() if one.name not in desired
        ]
        return [(kind, one) for kind, one in found if one.manager == MANAGER and not one.deleting]

    async def _remove(
        self, kind: Kind, found: Service | Route, room: asyncio.Semaphore
    ) -> ClusterAway | None:
        try:
            async with room:
                self._require_leading()
                await self._cluster.delete(kind, found.name, found.uid)
        except ClusterAway as error:
            return error
        except ClusterError as error:
            log.warning("%s %s cannot be deleted: %s", kind.kind, found.name, error)
        self._written.pop((kind, found.name), None)
        return None

    def _require_leading(self) -> None:
        if not self._leads():
            raise ClusterAway("this replica leads no more")

    def _rejection(self, name: str) -> str | None:
        route = self._routes.records.get(route_name(name)) if self._routes else None
        return route.rejection if route else None
