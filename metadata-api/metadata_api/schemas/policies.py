"""Bodies of the policies of aliases, and of what they decide: a duel of the champion and a candidate."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from metadata_api.errors import ErrorBody
from metadata_api.schemas.aliases import Alias
from metadata_api.schemas.fields import Body, Name, ShortText, Text
from metadata_api.schemas.predictions import Input

Share = Annotated[float, Field(ge=0, le=1)]


class PairedTest(Body):
    """The test that the candidate has to pass, valid at every number of labels."""

    kind: Literal["superiority", "non_inferiority"] = "superiority"
    """That the candidate is better, or that it is not worse by the margin."""
    alpha: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Highest chance that a candidate passes which is not better, or is worse by the margin."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of accuracy, as a share; only for `non_inferiority`, which needs one."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "non_inferiority") != (self.margin > 0):
            raise ValueError("margin is more than 0 for non_inferiority, and 0 for superiority")
        return self


class Policy(Body):
    """What a candidate needs to take an alias; the values here are those of an alias without a policy of its own."""

    task: ShortText | None = None
    """The task whose labels count; null means that of the version that the alias points at."""
    min_labels: Annotated[int, Field(ge=0, le=1_000_000)] = 30
    """Least labelled inputs that both versions answered."""
    test: PairedTest = PairedTest()
    no_class_worse_than: Share | None = 0.1
    """Most of a class's labels by which the candidate may be worse on it; null asks for nothing."""
    max_p95_ms: Annotated[float, Field(gt=0)] | None = None
    """Longest 95th percentile of the candidate's latency; null asks for nothing."""
    max_error_share: Share | None = 0.05
    """Most of the candidate's answers that may be errors; null asks for nothing."""
    replay: bool = False
    """Whether a replay of champion and candidate has to be done."""


class AliasPolicy(Policy):
    """The policy that holds for an alias."""

    is_default: bool
    """Whether it is that of aliases without a policy of their own."""
    set_by: str | None = None
    set_at: datetime | None = None


class Promotion(Body):
    """Which deployment shall take the alias, and why."""

    candidate: Name
    reason: Text = ""
    force: bool = False
    """Promote whatever the policy says; needs the role admin and a reason."""


class Side(BaseModel):
    """One of the two in a duel."""

    deployment: str
    experiment: str
    version: int


class Rule(BaseModel):
    """One rule of the policy, and how the candidate stands."""

    rule: Literal[
        "ready",
        "other_version",
        "same_task",
        "min_labels",
        "evidence",
        "no_class_worse_than",
        "max_p95_ms",
        "max_error_share",
        "replay",
    ]
    passed: bool
    detail: str


class ClassDuel(BaseModel):
    """The pairs of one class."""

    label: str
    labels: int
    wins: int
    losses: int
    champion_accuracy: float
    candidate_accuracy: float


class Flip(BaseModel):
    """A labelled input on which one of both is right alone."""

    input_sha256: str
    input: Input
    truth: str | float
    chosen: str


class Undecided(BaseModel):
    """An input that nobody has labelled and about which both say different things."""

    input_sha256: str
    input: Input
    champion: str
    candidate: str


class Step(BaseModel):
    """The evidence after a number of labels."""

    labels: int
    wins: int
    losses: int
    log_e: float


class ReplayOfBoth(BaseModel):
    """The newest replay that has answers of champion and candidate; counts are null where it compared with a third."""

    number: int
    inputs: int | None = None
    """Those that both answered."""
    flips: int | None = None
    """Inputs to which both answered differently."""
    worse: int | None = None
    """Flips by which a right answer becomes wrong, as far as there are labels."""
    better: int | None = None


class Standing(BaseModel):
    """How a candidate stands against the champion of an alias, by the labels of now; docs/evidence.md explains it."""

    task: str
    champion: Side
    candidate: Side
    policy: AliasPolicy
    labels: int
    """Labelled inputs that both answered; `wins`, `losses` and `ties` are parts of it."""
    wins: int
    losses: int
    ties: int
    chosen_at_random: int
    """How many of the labels are of inputs that were chosen at random."""
    labelled_before: int
    """How many of the labelled inputs had a label before the candidate was uploaded: it may have learned from them."""
    log_e: float
    """Natural logarithm of the e-value."""
    log_threshold: float
    """That the test is passed at."""
    win_rate: float | None
    """Share of wins among wins and losses."""
    win_rate_interval: tuple[float, float]
    classes: list[ClassDuel]
    """Worst for the candidate first; none where the answers are no classes."""
    p95_ms: float | None
    """Of the candidate's newest answers."""
    error_share: float | None
    rules: list[Rule]
    promotable: bool
    """Whether every rule is passed."""
    labels_missing: int | None
    """Estimate: if wins and losses go on at the rates so far; null when no number would do at these rates."""
    estimate: str
    """What the estimate rests on, or why there is none."""
    replay: ReplayOfBoth | None
    """Whether the policy asks for one or not; null when none has answers of both."""


class Preview(Standing):
    """The same, with the inputs behind it and the way of the evidence."""

    better: list[Flip]
    """Labelled inputs that the candidate alone gets right, newest first, at most 100."""
    worse: list[Flip]
    undecided: list[Undecided]
    """Inputs whose labels would decide it soonest, at most 12."""
    steps: list[Step]
    """At most 400 of them, the newest included."""


class Promoted(BaseModel):
    """What a promotion came to; with `dry_run` nothing is moved."""

    promoted: bool
    forced: bool
    alias: Alias
    standing: Preview


class Refusal(ErrorBody):
    """Why a candidate was not promoted: every rule that fails, and what would settle it."""

    standing: Preview | None = None
    """With the code promotion_refused."""
