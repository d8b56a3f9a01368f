"""What a deployer is: it makes wanted deployments real and says what it sees; reconcile drives it.

`deploy_local` writes the file that a serving process on the same machine follows.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

State = Literal["pending", "starting", "ready", "failed", "stopped", "unknown"]


@dataclass(frozen=True)
class Wanted:
    """A deployment that shall run: which archive, under which name."""

    name: str
    version: int
    mar: Path
    sha256: str
    runtime: str
    replicas: int


@dataclass(frozen=True)
class Seen:
    """What runs: `target` is the version that is being brought up, `live` the one that answers."""

    state: State
    target: int | None
    live: int | None
    reason: str | None


class Deployer(Protocol):
    """Makes wanted deployments real."""

    changed: asyncio.Event
    """Set when something new is wanted or seen, so that nobody waits for the next round."""

    async def apply(self, wanted: Sequence[Wanted]) -> None:
        """Ask for exactly these deployments; anything else shall go."""

    async def observe(self) -> Mapping[str, Seen]:
        """What runs now, by name; raises Unavailable when nobody can say."""
