"""The Helm release beside this API: what its values declare, and the command that changes it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from metadata_api.deploying.base import (
    DEFAULT_OPTIONS,
    DEFAULT_RESOURCES,
    NO_RECORDING,
    Desired,
    Observed,
    Recording,
    Resources,
    ServingOptions,
)
from metadata_api.errors import Conflict

_SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True, slots=True)
class HelmSpec:
    """What the values say about one deployment; only Helm may change it."""

    experiment: str
    version: int | None
    runtime: str
    replicas: int
    storage_uri: str
    resources: Resources = DEFAULT_RESOURCES
    options: ServingOptions = DEFAULT_OPTIONS
    recording: Recording = NO_RECORDING

    def is_met_by(self, desired: Desired) -> bool:
        """Whether a row says the same."""
        return (
            self.experiment,
            self.version,
            self.runtime,
            self.replicas,
            self.resources,
            self.options,
            self.recording,
        ) == (
            desired.experiment,
            desired.version,
            desired.runtime,
            desired.replicas,
            desired.resources,
            desired.options,
            desired.recording,
        )


@dataclass(frozen=True, slots=True)
class HelmDeployment:
    """A deployment that Helm owns, and what is observed of it."""

    spec: HelmSpec
    observed: Observed


@dataclass
class HelmRelease:
    """The one place where the API knows what Helm owns: routes and the reconcile loop read it.

    The KServe deployer keeps `deployments` current; on one machine there is no Helm, and it stays empty.
    """

    name: str = "marina"
    namespace: str = ""
    deployments: Mapping[str, HelmDeployment] = field(default_factory=dict)
    """By name, as they were seen last; replaced as a whole."""
    is_known: bool = True
    """Whether the deployer has looked already."""

    def archives(self) -> frozenset[str] | None:
        """sha256 of the archives that Helm serves from a bucket, registered or not; None while that is not known."""
        if not self.is_known:
            return None
        uris = (one.spec.storage_uri for one in self.deployments.values())
        return frozenset(digest for uri in uris for digest in _SHA256.findall(uri))

    def conflict(self, deployment: str, **values: object) -> Conflict:
        """The error for a change of one of them; no values means to remove it.

        A value is text, a number or a truth value, None for the chart's default, or a map of those.
        """
        changed = [f"experiments.{deployment}.{key}={value}" for key, value in _flat(values)]
        where = f" --namespace {self.namespace}" if self.namespace else ""
        spec = " ".join(f"--set {one}" for one in changed or [f"experiments.{deployment}=null"])
        return Conflict(
            "owned_by_helm",
            f"Helm owns deployment {deployment}. Run: "
            f"helm upgrade {self.name} charts/marina{where} --reuse-values {spec}",
        )


def _as_set(value: object) -> object:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else value


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Dotted keys and values as `--set` takes them."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", found) for inner, found in _flat(value))
        else:
            yield key, _as_set(value)
