"""`create_app(settings)`: the one place where the parts of the API are put together; uvicorn calls it."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from anyio import to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy.orm import sessionmaker

from metadata_api import audit, environments
from metadata_api.auth import access, tokens, verifiers
from metadata_api.auth.callers import Callers, Everybody
from metadata_api.auth.layer import Authentication
from metadata_api.auth.serving_tokens import ServingTokens
from metadata_api.database.leader import Leader
from metadata_api.database.session import connect
from metadata_api.deploying import reconcile
from metadata_api.deploying.base import Deployer
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deploying.intervals import DEFAULT, Intervals
from metadata_api.deploying.kserve import config as kserve_config
from metadata_api.deploying.kserve.config import KServeConfig
from metadata_api.deploying.kserve.deployer import KServeDeployer
from metadata_api.deploying.kserve.document_secret import DocumentSecret
from metadata_api.deploying.local import LocalDeployer
from metadata_api.error_handlers import answer_errors
from metadata_api.evidence.replaying import Replayer
from metadata_api.host_guard import HostGuard
from metadata_api.http_pool import HttpPool
from metadata_api.kept_document import DocumentFile, Place
from metadata_api.kubernetes import Cluster
from metadata_api.limits import BodyLimits, RequestGuard
from metadata_api.maintenance import Maintenance
from metadata_api.measuring import Measured
from metadata_api.memory import Memory
from metadata_api.metrics import Metrics
from metadata_api.objects import ledger
from metadata_api.objects import stores as object_stores
from metadata_api.predicting.predictions import Dependencies
from metadata_api.recordings.recorder import Recorder
from metadata_api.routes import metrics
from metadata_api.routes.dependencies import Components
from metadata_api.routes.routers import ROUTERS
from metadata_api.serving_recordings import ServingRecordings
from metadata_api.settings import Settings
from metadata_api.signatures import Signatures
from metadata_api.storage.folder import FolderStore
from metadata_api.v2_proxy import route_table
from metadata_api.v2_proxy.app import ACCESS as V2_ACCESS
from metadata_api.v2_proxy.app import PREFIX as V2_PREFIX
from metadata_api.v2_proxy.app import V2Proxy, is_health
from serving_runtime.contracts import RECORDINGS

THREADS = 100
# The documentation, as FastAPIOffline makes it: the only HTML.
PAGES = ("/docs", "/redoc")
# What everybody can read in the sources: no credential is needed for it.
OPEN_PAGES = (*PAGES, "/openapi.json")
OPEN_FILES = "/static-offline-docs/"
ACCESS = (*access.declared(ROUTERS), *V2_ACCESS, *(access.Access("GET", page, None) for page in OPEN_PAGES))
"""The role that every address needs."""
_IS_OPEN_ROUTE = access.open_addresses(ROUTERS)
log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, intervals: Intervals = DEFAULT) -> FastAPI:
    """The API as an ASGI application; without settings they come from the environment."""
    settings = settings or Settings()
    # The pages of /docs come from this process; FastAPI's own would load scripts from the internet.
    app = FastAPIOffline(
        title="Marina metadata API",
        description="Experiments, versions, deployments, aliases and predictions. Errors are `{error, detail}`.",
        docs_url=PAGES[0],
        redoc_url=PAGES[1],
        root_path=settings.root_path,
        # It would be to an address as this process sees it: without TLS and the prefix of a proxy. See `host_guard`.
        redirect_slashes=False,
        lifespan=_lifespan,
        # Nothing here configures OpenTelemetry; to look for it costs every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    engine = connect(**settings.connection)
    sessions = sessionmaker(engine, expire_on_commit=False)
    audit.record_changes(sessions)
    leader = Leader(engine)
    kserve = kserve_config.read(settings.kserve_file) if settings.kserve_file else None
    stores = object_stores.of_settings(settings, sessions)
    release = (
        HelmRelease(kserve.helm_release or kserve.release, kserve.namespace) if kserve else HelmRelease()
    )
    serving_token = _serving_token(settings)
    to_servers = {"Authorization": f"Bearer {serving_token}"} if serving_token else {}
    pool = HttpPool(to_servers)
    predicting = Dependencies(
        sessions,
        stores[ledger.INPUT],
        pool,
        settings.serving_url.rstrip("/"),
        settings.max.response_seconds,
    )
    components = Components(
        settings=settings,
        intervals=intervals,
        engine=engine,
        sessions=sessions,
        pool=pool,
        metrics=Metrics(),
        fixed_tokens=tokens.fixed(settings.auth),
        serving_token=serving_token,
        to_servers=to_servers,
        rejected=Counter(),
        tokens=tokens.live(sessions),
        routes=route_table.live(sessions),
        kserve=kserve,
        cluster=_cluster(settings, kserve, to_servers),
        helm=release,
        artifacts=stores[ledger.ARCHIVE],
        inputs=stores[ledger.INPUT],
        leader=leader,
        maintenance=Maintenance(
            sessions,
            stores,
            settings.retention,
            leads=leader.leads,
            in_use=release.archives,
            copies_place=settings.backup.place if settings.backup else "",
        ),
        predicting=predicting,
        replayer=Replayer(predicting),
        recorder=Recorder(sessions, stores[ledger.INPUT]),
        signatures=Signatures(settings.signature),
        environments=environments.on_cluster(
            {name: one.model_dump() for name, one in kserve.environments.items()}
        )
        if kserve
        else environments.on_one_machine(),
    )
    app.state.components = components
    for router in ROUTERS:
        app.include_router(router)
    answer_errors(app)
    app.add_middleware(
        V2Proxy,
        table=components.routes,
        pool=components.pool,
        serving_url=settings.serving_url,
        response_seconds=settings.max.response_seconds,
        root_path=settings.root_path,
    )
    limits = BodyLimits(ROUTERS, settings.max, {V2_PREFIX: settings.max.inference_bytes})
    app.add_middleware(
        RequestGuard, limits=limits, memory=Memory(settings.max.memory_bytes), root_path=settings.root_path
    )
    components.callers = _callers(components)
    app.add_middleware(
        Authentication,
        callers=components.callers,
        is_open=_is_open,
        rejected=components.rejected,
        root_path=settings.root_path,
    )
    # It stands before all that has to do with the request itself.
    app.add_middleware(HostGuard, allowed_hosts=settings.allowed_hosts, pages=PAGES)
    metrics.show_gauges(components)
    # Added last: it counts also what is rejected.
    app.add_middleware(Measured, metrics=components.metrics, root_path=settings.root_path)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Routes wait in threads; the usual 40 would let requests queue behind a database that does not answer.
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    components: Components = app.state.components
    components.artifacts.prepare()
    components.inputs.prepare()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    async with (
        components.pool,
        httpx.AsyncClient(limits=limits, headers=components.to_servers, trust_env=False) as client,
        _deployer(components, client) as deployer,
    ):
        components.deployer = deployer
        components.leader.began = deployer.changed.set
        tasks = [
            asyncio.create_task(components.leader.run()),
            asyncio.create_task(components.maintenance.run()),
            asyncio.create_task(components.replayer.run()),
            asyncio.create_task(components.recorder.run()),
            asyncio.create_task(deployer.follow()),
            asyncio.create_task(
                reconcile.run(
                    components.sessions,
                    deployer,
                    components.helm,
                    components.metrics,
                    components.leader.leads,
                    components.intervals,
                )
            ),
            asyncio.create_task(components.routes.run()),
            asyncio.create_task(components.tokens.run()),
        ]
        for kept in (components.serving_tokens, components.serving_recordings):
            if kept is not None:
                tasks.append(asyncio.create_task(kept.run()))
        try:
            yield
        finally:
            await components.recorder.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            components.engine.dispose()


@asynccontextmanager
async def _deployer(components: Components, client: httpx.AsyncClient) -> AsyncIterator[Deployer]:
    settings = components.settings
    if settings.deployer == "kserve":
        assert components.kserve, "the settings see to it"
        assert components.cluster, "the settings see to it"
        if name := components.kserve.tokens_secret:
            place = DocumentSecret(components.cluster, components.kserve, name, "tokens.json")
            components.serving_tokens = _serving_tokens(components, place)
        if name := components.kserve.recordings_secret:
            place = DocumentSecret(components.cluster, components.kserve, name, RECORDINGS)
            components.serving_recordings = _serving_recordings(components, place)
        try:
            yield KServeDeployer(
                components.kserve,
                components.cluster,
                components.helm,
                components.intervals,
                components.leader.leads,
            )
        finally:
            await components.cluster.close()
    else:
        assert settings.serving_models_file, "the settings see to it"
        archives = components.artifacts.first
        assert isinstance(archives, FolderStore), "the settings see to it"
        if path := settings.auth.serving_tokens_file:
            components.serving_tokens = _serving_tokens(components, DocumentFile(path))
        recordings = DocumentFile(settings.serving_models_file.with_name(RECORDINGS))
        components.serving_recordings = _serving_recordings(components, recordings)
        yield LocalDeployer(
            settings.serving_models_file, settings.serving_url, client, archives, components.leader.leads
        )


def _serving_tokens(of: Components, place: Place) -> ServingTokens:
    return ServingTokens(place, of.tokens, of.fixed_tokens, of.serving_token)


def _serving_recordings(of: Components, place: Place) -> ServingRecordings:
    namespace = of.kserve.namespace if of.kserve else "default"
    return ServingRecordings(place, of.routes, url=of.own_url, secret=of.serving_token, namespace=namespace)


def _callers(components: Components) -> Callers:
    """Who is asked for the caller of a request."""
    settings = components.settings
    if settings.auth.mode == "off":
        log.warning("authentication is off: everybody who reaches this port may do everything")
        return Everybody()
    return Callers(
        components.tokens, components.fixed_tokens, verifiers.of(settings.auth, components.cluster)
    )


def _cluster(
    settings: Settings, kserve: KServeConfig | None, to_servers: Mapping[str, str]
) -> Cluster | None:
    if settings.deployer != "kserve":
        return None
    assert kserve, "the settings see to it"
    if url := settings.kubernetes_url:
        return Cluster(url, kserve.namespace, pod_headers=to_servers)
    return Cluster.of_this_pod(kserve.namespace, pod_headers=to_servers)


def _serving_token(settings: Settings) -> str:
    path = settings.auth.serving_token_file
    return path.read_text().strip() if path else ""


def _is_open(method: str, path: str) -> bool:
    if method in ("GET", "HEAD") and (path in OPEN_PAGES or path.startswith(OPEN_FILES) or is_health(path)):
        return True
    return _IS_OPEN_ROUTE(method, path)
