"""Which deployment answers for a v2 name: an immutable table in memory, read from the database as a whole.

NAME is a deployment, an alias, or, with a version, an experiment, in this order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api import aliases
from metadata_api.database.live_table import LiveTable
from metadata_api.database.session import Sessions
from metadata_api.database.tables import Alias, Deployment, Experiment, ModelVersion
from metadata_api.deploying.base import Recording, ServingOptions
from metadata_api.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: a deployment, and the version to ask it for, empty for the one that it serves."""

    deployment: str
    version: str
    response_seconds: int | None = None
    """What the server gives a request, where it is not the installation's default."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as the table knows it; `live` is the version that answered when it was observed last."""

    name: str
    experiment: str
    version: int
    running: bool
    state: str
    live: int | None
    reason: str | None
    response_seconds: int | None
    recording: Recording

    @property
    def ready(self) -> bool:
        """Whether the desired version answers."""
        return self.state == "ready" and self.live == self.version


@dataclass(frozen=True)
class RouteTable:
    """All names of one moment."""

    deployments: Mapping[str, Deployed]
    """By name, in the order of their names."""
    aliases: Mapping[str, aliases.Pointer]
    versions: Mapping[tuple[str, int], Deployed]
    """By experiment and version: the first running deployment, else a stopped one."""

    def longest_seconds(self, default: float) -> float:
        """The longest time that a running deployment may take to answer; `default` where it does not say."""
        return max(
            (one.response_seconds or default for one in self.deployments.values() if one.running),
            default=default,
        )

    def find(self, name: str, version: str) -> Route:
        """Who answers for a name and a version of digits, which may be empty; raises NotFound and Conflict."""
        found = self.deployments.get(name)
        if found is not None:
            return _running(found, version)
        pointer = self.aliases.get(name)
        if pointer is not None and version in ("", str(pointer.version)):
            if pointer.stale:
                raise Conflict("alias_stale", pointer.stale)
            found = self.deployments.get(pointer.deployment)
            running = pointer.desired == "running"
            limit = found.response_seconds if found is not None else None
            return _route(pointer.deployment, str(pointer.version), running=running, limit=limit)
        if version:
            found = self.versions.get((name, int(version)))
            if found is not None:
                return _running(found, str(int(version)))
        raise NotFound("model_unknown", _unknown(name, version))


def read(session: Session) -> RouteTable:
    """The table as the database has it now, in two queries."""
    query = (
        select(
            Deployment.name,
            Experiment.name.label("experiment"),
            ModelVersion.number.label("version"),
            (Deployment.desired == "running").label("running"),
            Deployment.observed_state.label("state"),
            Deployment.observed_version.label("live"),
            Deployment.observed_reason.label("reason"),
            Deployment.recording,
            Deployment.response_seconds,
            ModelVersion.archive_settings,
        )
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .order_by(Deployment.name)
    )
    deployed = [_deployed(*row) for row in session.execute(query)]
    versions: dict[tuple[str, int], Deployed] = {}
    for one in sorted(deployed, key=lambda one: not one.running):
        versions.setdefault((one.experiment, one.version), one)
    pointers = {pointer.name: pointer for pointer in aliases.pointers(session)}
    return RouteTable({one.name: one for one in deployed}, pointers, versions)


def _deployed(*row: Any) -> Deployed:
    *known, recording, response_seconds, archive_settings = row
    options = ServingOptions(response_seconds=response_seconds).or_of_archive(archive_settings)
    known += [options.response_seconds, Recording.of(recording)]
    return Deployed(*known)


def live(sessions: Sessions) -> LiveTable[RouteTable]:
    """The table as it is kept current."""
    return LiveTable(sessions, "models", read, (Deployment, Alias))


def _running(found: Deployed, version: str) -> Route:
    return _route(found.name, version, running=found.running, limit=found.response_seconds)


def _route(deployment: str, version: str, *, running: bool, limit: int | None) -> Route:
    if not running:
        raise Conflict("deployment_stopped", f"Deployment {deployment} is stopped. Start it first.")
    return Route(deployment, version, limit)


def _unknown(name: str, version: str) -> str:
    """As the front says it, and where the names are."""
    if version:
        return (
            f"there is no model {name[:64]!r} with version {version[:20]!r}; it is no deployment, no alias at that "
            "version, and no experiment with a deployment of it: see /v1/deployments and /v1/aliases"
        )
    return f"there is no model {name[:64]!r}; see /v1/deployments and /v1/aliases"
