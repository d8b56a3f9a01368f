"""What a deployer is: it makes desired deployments real and says what it sees; reconcile drives it.

`local` writes the file that a serving process on the same machine follows; `kserve` writes
InferenceServices.
"""

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from metadata_api.deploying.logs import LogPart
from serving_runtime.contracts import (
    BASE_ENVIRONMENT,
    RESPONSE_SECONDS_BOUNDS,
    STARTUP_SECONDS_BOUNDS,
    DeploymentState,
)

WAY_SECONDS = 5.0
"""Whoever asks a model waits so much longer than its server may take: for the way there and back."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What each pod of a deployment requests and may take at most, as Kubernetes' quantities.

    None is the installation's default. An accelerator will be one more field.
    """

    cpu: str | None = None
    memory: str | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Resources":
        """What a row or a body says; keys of a newer release are left out."""
        found = stored or {}
        return cls(found.get("cpu"), found.get("memory"))

    def given(self) -> dict[str, str]:
        """Those that are not the installation's default, by Kubernetes' names."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """How a deployment's model is served; None is what its archive asks for, or the installation's default."""

    startup_seconds: int | None = None
    """Longest time to load it."""
    response_seconds: int | None = None
    """Longest time to answer a request."""
    batch_size: int | None = None
    """Most rows of concurrent requests in one call."""
    batch_delay_ms: int | None = None
    """How long a request waits for others to share its call."""

    def given(self) -> dict[str, int]:
        """Those that are not the installation's default."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def or_of_archive(self, settings: Mapping[str, Any] | None) -> "ServingOptions":
        """With the times that the version's archive asks for where the deployment says nothing.

        Batches are its server's business alone, which reads the archive itself.
        """
        found = settings or {}
        return replace(
            self,
            startup_seconds=self.startup_seconds
            or _within(found.get("startup_seconds"), STARTUP_SECONDS_BOUNDS),
            response_seconds=self.response_seconds
            or _within(found.get("response_seconds"), RESPONSE_SECONDS_BOUNDS),
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """Which part of a deployment's v2 traffic is recorded as predictions."""

    rate: float = 0.0
    """Share of the requests, from 0 (off) to 1."""
    answers: bool = True
    """Whether the answers are recorded too, or only the inputs."""
    retention_days: int | None = None
    """How long what was recorded is kept; None is the installation's retention of predictions."""

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Recording":
        """What a row or an annotation says; keys of a newer release are left out."""
        found = stored or {}
        return cls(found.get("rate", 0.0), found.get("answers", True), found.get("retention_days"))

    def __str__(self) -> str:
        if not self.rate:
            return "off"
        kept = "" if self.retention_days is None else f", kept for {self.retention_days} days"
        return f"{self.rate:.4g} of the requests{' with answers' if self.answers else ''}{kept}"


def _within(seconds: float | None, bounds: tuple[int, int]) -> int | None:
    return None if seconds is None else max(bounds[0], min(bounds[1], math.ceil(seconds)))


DEFAULT_RESOURCES = Resources()
DEFAULT_OPTIONS = ServingOptions()
NO_RECORDING = Recording()


@dataclass(frozen=True)
class Desired:
    """A deployment that shall run: which archive, under which name."""

    name: str
    experiment: str
    version: int
    sha256: str
    runtime: str
    replicas: int
    resources: Resources = DEFAULT_RESOURCES
    options: ServingOptions = DEFAULT_OPTIONS
    environment: str = BASE_ENVIRONMENT
    recording: Recording = NO_RECORDING
    """Servers are told of it beside the deployer, so that they need not start anew for it."""


@dataclass(frozen=True)
class Observed:
    """What runs: `target` is the version that is being brought up, `live` the one that answers.

    `runtime` is None when the deployer cannot tell; `containment` is what the server reports of the worker of `live`.
    """

    state: DeploymentState
    target: int | None
    live: int | None
    reason: str | None
    runtime: str | None = None
    containment: Mapping[str, Any] | None = None


def withheld(name: str, present: str, desired: Desired | None) -> str:
    """What is left undone because of a restore, as a sentence; `present` is the version that is deployed."""
    if desired is None:
        return f"Remove deployment {name}, version {present}."
    return f"Change deployment {name} from version {present} to version {desired.version} of {desired.experiment}."


class Deployer(Protocol):
    """Makes desired deployments real."""

    changed: asyncio.Event
    """Set when the desired or the observed state changes, so that a change does not wait for the next round."""
    backend_name: str
    """Who has to take a deployment up, as the first words of a sentence."""

    @property
    def watches(self) -> Mapping[str, float]:
        """For how many seconds each watch has heard nothing, by what is watched; empty where nothing is."""

    async def follow(self) -> None:
        """Whatever has to go on in the background for as long as the application runs."""

    async def apply(
        self, desired: Sequence[Desired], *, only: Collection[str] | None = None
    ) -> Sequence[str]:
        """Ask for exactly these deployments; anything else that is ours shall go.

        With `only`, nothing goes, and of what is there only these names are changed; what is left undone is returned,
        as sentences.
        """

    async def observe(self) -> Mapping[str, Observed]:
        """What runs now, by name; raises Unavailable when it is not known."""

    async def log(self, name: str, lines: int) -> Sequence[LogPart]:
        """At most so many of the last lines of each process that serves a deployment; raises Unavailable."""
