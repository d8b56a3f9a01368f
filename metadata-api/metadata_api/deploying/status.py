"""The status of a deployment: what is observed of it, judged against what is desired; pure functions.

A deployer has derived what is observed. What is stored and shown is the status.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from metadata_api.deploying.base import Desired, Observed
from serving_runtime.contracts import DeploymentState


class Status(NamedTuple):
    """What is shown of a deployment: `version` is the one that answers, `containment` what holds its worker back."""

    state: DeploymentState
    version: int | None
    reason: str | None
    containment: Mapping[str, Any] | None = None


def unknown(reason: str) -> Status:
    """The status while nothing can be observed."""
    return Status("unknown", None, reason)


def against(desired: Desired | None, observed: Observed | None, backend_name: str) -> Status:
    """The status of one deployment.

    Args:
        desired: None for a deployment that shall not run.
        observed: None when nothing of this name runs.
        backend_name: who has to take it up, as the first words of a sentence.
    """
    if desired is None:
        if observed is None:
            return Status("stopped", None, None)
        return Status("pending", observed.live, "It is being stopped.", observed.containment)
    if observed is None:
        return Status("pending", None, f"{backend_name} has not taken it up yet.")
    if observed.target != desired.version:
        missing = f"version {desired.version}"
    elif observed.runtime not in (None, desired.runtime):
        missing = f"the runtime {desired.runtime}"
    else:
        return Status(observed.state, observed.live, observed.reason, observed.containment)
    reason = f"{backend_name} has not taken up {missing} yet."
    return Status("pending", observed.live, reason, observed.containment)
