"""The runtimes of this product, by the names of `contracts.RUNTIMES`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving_runtime.runtimes.base import OnFailure, Resources, Runtime
from serving_runtime.runtimes.native import Native
from serving_runtime.runtimes.torchserve import java
from serving_runtime.runtimes.torchserve.server import TorchServe


@dataclass(frozen=True)
class RuntimeEntry:
    """One runtime: how one is made for a version, and what v2 calls it."""

    make: Callable[[Path, Resources, str, OnFailure], Runtime]
    """In a private folder, for models of an environment. Raises LoadFailed when that is not there."""
    platform: str
    backend: str
    check: Callable[[], object] = lambda: None
    """Raises LoadFailed when this machine cannot run it at all."""


def _native(folder: Path, resources: Resources, environment: str, on_failure: OnFailure) -> Runtime:
    return Native(folder, resources.forkservers.of(environment), on_failure)


def _torchserve(folder: Path, resources: Resources, environment: str, on_failure: OnFailure) -> Runtime:
    forkserver = resources.forkservers.of(environment)
    return TorchServe(folder, forkserver, java.Cache(resources.java_cache), on_failure)


REGISTRY: Mapping[str, RuntimeEntry] = {
    "torchserve": RuntimeEntry(_torchserve, "pytorch_torchserve", "pytorch", java.java_home),
    "native": RuntimeEntry(_native, "pytorch_native", "pytorch"),
}
