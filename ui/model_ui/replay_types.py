"""What the API says of replays, as their pages show it; unknown fields are ignored."""

from datetime import datetime
from typing import Literal

from model_ui.prediction_types import RecordedInput
from model_ui.spec_types import ApiModel


class Replayed(ApiModel):
    """One of the versions, over all inputs; latencies in milliseconds."""

    deployment: str
    experiment: str
    version: int
    answered: int
    errors: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    labelled: int = 0
    right: int = 0


class ReplayedFlip(ApiModel):
    """An input about which a deployment says something else than the first."""

    input_sha256: str
    input: RecordedInput | None = None
    first: str
    other: str
    truth: str | None = None
    verdict: str


class ReplayedClass(ApiModel):
    """The inputs of one class."""

    label: str
    inputs: int
    flips: int
    worse: int
    better: int


class ReplayedPair(ApiModel):
    """A deployment against the first."""

    deployment: str
    inputs: int
    flips: int
    worse: int
    better: int
    classes: tuple[ReplayedClass, ...] = ()
    examples: tuple[ReplayedFlip, ...] = ()


class ReplayReport(ApiModel):
    """What a replay came to."""

    versions: tuple[Replayed, ...] = ()
    against_first: tuple[ReplayedPair, ...] = ()


class Replay(ApiModel):
    """A replay, and how far it is; `inputs` and `done` count inputs."""

    id: int
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    deployments: tuple[str, ...]
    inputs: int
    done: int = 0
    reason: str | None = None
    created_by: str = ""
    created_at: datetime | None = None
    ended_at: datetime | None = None
    report: ReplayReport | None = None

    @property
    def moves(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "running")


class ReplayPage(ApiModel):
    """Replays, newest first."""

    items: tuple[Replay, ...]
    next: str | None = None
