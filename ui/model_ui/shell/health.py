"""How many of the deployments that shall run do answer, as the chip on top of every page says it."""

from dataclasses import dataclass

from model_ui.metadata_client import MetadataClient


@dataclass(frozen=True)
class Health:
    """Counts of deployments; `failed` names those that have failed."""

    ready: int
    desired: int
    failed: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The class of the chip."""
        if self.failed:
            return "bad"
        return "ok" if self.ready >= self.desired else "warn"


async def health(client: MetadataClient) -> Health:
    """What is seen of all deployments; raises ApiError."""
    found, unregistered = await client.everything_deployed()
    desired = [item for item in found if item.desired == "running"]
    failed = [item.name for item in desired if item.observed.state == "failed"]
    failed += [item.name for item in unregistered if item.state == "failed"]
    ready = sum(item.ready for item in desired) + sum(item.state == "ready" for item in unregistered)
    return Health(ready, len(desired) + len(unregistered), tuple(failed))
