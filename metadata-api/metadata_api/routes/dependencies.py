"""What routes get of the application, by type: `create_app` makes one `Components`, and a route names what it needs."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.auth.callers import Callers
from metadata_api.auth.principal import Principal, principal_of
from metadata_api.auth.serving_tokens import ServingTokens
from metadata_api.auth.tokens import TokenTable
from metadata_api.database.leader import Leader
from metadata_api.database.live_table import LiveTable
from metadata_api.database.session import Sessions
from metadata_api.deletions import Consent
from metadata_api.deploying.base import Deployer
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deploying.intervals import Intervals
from metadata_api.deploying.kserve.config import KServeConfig
from metadata_api.environments import Environments
from metadata_api.evidence.replaying import Replayer
from metadata_api.http_pool import HttpPool
from metadata_api.kubernetes import Cluster
from metadata_api.maintenance import Maintenance
from metadata_api.metrics import Metrics
from metadata_api.objects.repair import RepairedStore
from metadata_api.predicting.predictions import Dependencies
from metadata_api.recordings.recorder import Recorder
from metadata_api.serving_recordings import ServingRecordings
from metadata_api.settings import Settings
from metadata_api.signatures import Signatures
from metadata_api.v2_proxy.route_table import RouteTable


@dataclass
class Components:
    """What one application is made of, as `app.state.components`."""

    settings: Settings
    intervals: Intervals
    engine: Engine
    sessions: Sessions
    pool: HttpPool
    metrics: Metrics
    fixed_tokens: TokenTable
    """Those that work without a database."""
    serving_token: str
    """What this API sends to the servers of models; empty when they ask for none."""
    to_servers: Mapping[str, str]
    """The same as headers."""
    rejected: Counter[str]
    """Requests that were answered 401 or 403, by status."""
    routes: LiveTable[RouteTable]
    tokens: LiveTable[TokenTable]
    kserve: KServeConfig | None
    cluster: Cluster | None
    """What the deployer kserve and the reviews of tokens ask; closed with the application."""
    helm: HelmRelease
    artifacts: RepairedStore
    inputs: RepairedStore
    leader: Leader
    maintenance: Maintenance
    predicting: Dependencies
    """What asking models takes."""
    replayer: Replayer
    recorder: Recorder
    """Takes recorded v2 traffic."""
    signatures: Signatures
    """Whether archives need one, and whose count."""
    environments: Environments
    """What archives may import here."""
    serving_tokens: ServingTokens | None = field(init=False, default=None)
    """Hands the servers of models what they check tokens against, where they do; set with the deployer."""
    serving_recordings: ServingRecordings | None = field(init=False, default=None)
    """Tells them what they record; set with the deployer."""
    callers: Callers = field(init=False)
    """Verifies credentials; set once all else is there."""
    deployer: Deployer = field(init=False)
    """There as long as the application runs."""

    @property
    def own_url(self) -> str:
        """This API as the servers of models reach it."""
        return self.kserve.api_url if self.kserve else f"http://127.0.0.1:{self.settings.port}"


def components(request: Request) -> Components:
    """Those of the application that a request came to."""
    found = request.app.state.components
    assert isinstance(found, Components)
    return found


ComponentsDep = Annotated[Components, Depends(components)]


def _reserved_names(of: ComponentsDep) -> Collection[str]:
    return of.helm.deployments.keys()


ReservedNames = Annotated[Collection[str], Depends(_reserved_names)]
"""Of deployments that need not have a row."""


def _consent(
    cascade: Annotated[bool, Query(description="Delete what depends on it, too.")] = False,
    dry_run: Annotated[bool, Query(description="Only say what would be deleted.")] = False,
) -> Consent:
    return Consent(cascade, dry_run)


ConsentDep = Annotated[Consent, Depends(_consent)]
"""What the caller of a deletion agreed to."""


async def wake(event: asyncio.Event) -> None:
    """A task for after the answer, which is after the commit: whoever waits for the event must see the change."""
    event.set()


async def caller(request: Request) -> Principal:
    """Who sent a request; only for routes that are not open to all."""
    return principal_of(request.scope)


CallerDep = Annotated[Principal, Depends(caller)]


def session(of: ComponentsDep) -> Iterator[Session]:
    """One request, one transaction: committed before the answer leaves, rolled back on any exception."""
    with of.sessions.begin() as begun:
        yield begun


# Function scope, because FastAPI's default ends a dependency after the answer was sent.
SessionDep = Annotated[Session, Depends(session, scope="function")]
