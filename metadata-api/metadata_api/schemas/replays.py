"""Bodies of replays: stored inputs through chosen deployments, and what that comes to."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from metadata_api.schemas.fields import SHA256, Body, Name
from metadata_api.schemas.predictions import Input

MOST_INPUTS = 1000
Sha256 = Annotated[str, Field(pattern=SHA256)]
Verdict = Literal["worse", "better", "neither", "unknown"]


class NewReplay(Body):
    """What to replay: the named inputs, or the newest that fit, those with a label first."""

    deployments: Annotated[list[Name], Field(min_length=1, max_length=8)]
    """The first is the one that the others are compared with."""
    inputs: Annotated[list[Sha256], Field(max_length=MOST_INPUTS)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_INPUTS)] = 500


class Replayed(BaseModel):
    """One of the versions, over all inputs."""

    deployment: str
    experiment: str
    version: int
    answered: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    labelled: int
    """Answers about inputs with a label that is a class or a text, of which `right` are right."""
    right: int


class ReplayedFlip(BaseModel):
    """An input about which a deployment says something else than the first."""

    input_sha256: str
    input: Input | None = None
    """Null once it is deleted."""
    first: str
    other: str
    truth: str | None
    verdict: Verdict
    """By the label: unknown without one, neither when both are wrong; of numbers the nearer one is better."""


class ReplayedClass(BaseModel):
    """The inputs of one class, by their label, or by the answer of the first where there is none."""

    label: str
    inputs: int
    flips: int
    worse: int
    better: int


class ReplayedPair(BaseModel):
    """A deployment against the first."""

    deployment: str
    inputs: int
    """Those that both answered."""
    flips: int
    worse: int
    better: int
    classes: list[ReplayedClass]
    """The class that gets worst first."""
    examples: list[ReplayedFlip]
    """Of the flips, those for the worse first, at most 100."""


class ReplayReport(BaseModel):
    """What a replay came to."""

    versions: list[Replayed]
    against_first: list[ReplayedPair]


class Replay(BaseModel):
    """A replay, and how far it is."""

    id: int
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    deployments: list[str]
    inputs: int
    done: int
    """How many of the inputs."""
    reason: str | None
    """Why it failed."""
    created_by: str
    created_at: datetime
    ended_at: datetime | None
    report: ReplayReport | None


class ReplayPage(BaseModel):
    """Replays, newest first, without their reports."""

    items: list[Replay]
    next: str | None
