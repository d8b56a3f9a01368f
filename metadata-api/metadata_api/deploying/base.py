"""What a deployer is: it makes desired deployments real and says what it sees; reconcile drives it.

`local` writes the file that a serving process on the same machine follows; `kserve` writes
InferenceServices.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from serving_runtime.contracts import DeploymentState


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


DEFAULT_RESOURCES = Resources()


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
