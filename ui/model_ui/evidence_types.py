"""What the API says of a candidate's standing against the champion of an alias; the page Evidence shows it."""

from datetime import datetime

from model_ui.deployment_types import Alias
from model_ui.prediction_types import RecordedInput
from model_ui.spec_types import ApiModel


class Side(ApiModel):
    """One of both."""

    deployment: str
    experiment: str
    version: int


class PairedTest(ApiModel):
    """The test of a policy."""

    kind: str
    alpha: float
    margin: float = 0.0


class Policy(ApiModel):
    """What a candidate needs; a rule that is None asks for nothing."""

    task: str | None = None
    min_labels: int
    test: PairedTest
    no_class_worse_than: float | None = None
    max_p95_ms: float | None = None
    max_error_share: float | None = None
    replay: bool = False
    is_default: bool
    set_by: str | None = None
    set_at: datetime | None = None


class Rule(ApiModel):
    """One rule, and whether it is passed."""

    rule: str
    passed: bool
    detail: str


class ClassDuel(ApiModel):
    """The pairs of one class."""

    label: str
    labels: int
    wins: int
    losses: int
    champion_accuracy: float
    candidate_accuracy: float


class Flip(ApiModel):
    """A labelled input that one of both gets right alone."""

    input_sha256: str
    input: RecordedInput
    truth: str | float


class Undecided(ApiModel):
    """An input without a label about which both differ."""

    input_sha256: str
    input: RecordedInput
    champion: str
    candidate: str


class Step(ApiModel):
    """The evidence after so many labels."""

    labels: int
    wins: int
    losses: int
    log_e: float


class ReplayOfBoth(ApiModel):
    """The newest replay of champion and candidate; counts are None where it compared both with a third."""

    number: int
    inputs: int | None = None
    flips: int | None = None
    worse: int | None = None
    better: int | None = None


class Standing(ApiModel):
    """How a candidate stands."""

    task: str
    champion: Side
    candidate: Side
    policy: Policy
    labels: int
    wins: int
    losses: int
    ties: int
    chosen_at_random: int
    labelled_before: int = 0
    log_e: float
    log_threshold: float
    win_rate: float | None
    win_rate_interval: tuple[float, float]
    classes: tuple[ClassDuel, ...]
    rules: tuple[Rule, ...]
    promotable: bool
    labels_missing: int | None
    estimate: str
    replay: ReplayOfBoth | None = None
    better: tuple[Flip, ...]
    worse: tuple[Flip, ...]
    undecided: tuple[Undecided, ...]
    steps: tuple[Step, ...]


class Promoted(ApiModel):
    """What a promotion came to."""

    alias: Alias
