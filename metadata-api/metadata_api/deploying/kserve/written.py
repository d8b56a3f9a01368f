"""What the deployer remembers of the objects that it wrote, and what it withholds after a restore."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from metadata_api.deploying.base import Desired, withheld
from metadata_api.deploying.kserve.inference_services import MANAGER, Service


@dataclass(frozen=True)
class Written:
    """What was applied last: as long as the object's generation is not newer, it is unchanged."""

    desired: Desired
    owner: str
    uid: str
    generation: int
    at: float


@dataclass(frozen=True)
class Rejected:
    """An object that could not be written, why, and when to try again."""

    desired: Desired
    reason: str
    again: float


def is_as_observed(service: Service | None, desired: Desired) -> bool:
    """Whether an InferenceService has what is desired."""
    return service is not None and (service.version, service.runtime, service.replicas) == (
        desired.version,
        desired.runtime,
        desired.replicas,
    )


def left_undone(
    services: Iterable[Service], desired: Mapping[str, Desired], only: Collection[str]
) -> list[str]:
    """What would happen to the InferenceServices of ours that are there, but for those that may be changed."""
    ours = [one for one in services if one.manager == MANAGER and not one.deleting and one.name not in only]
    return [
        withheld(one.name, str(one.version), desired.get(one.name))
        for one in sorted(ours, key=lambda one: one.name)
        if one.name not in desired or not is_as_observed(one, desired[one.name])
    ]
