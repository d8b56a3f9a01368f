"""Bodies of the routes for scores."""

from pydantic import BaseModel


class Share(BaseModel):
    """How many answers are right."""

    n: int
    right: int
    accuracy: float | None
    """Null without any."""
    interval: tuple[float, float] | None
    """Wilson's, at 95 %."""


class NumberErrors(BaseModel):
    """How far numbers are from the right ones; an error is the answer minus what is right."""

    n: int
    mae: float
    """Mean of the errors without their sign."""
    rmse: float
    mean: float
    """Of the errors with their sign: whether answers are too high or too low."""
    median_absolute: float
    quantiles: dict[str, float]
    """Of the errors with their sign, by share: 0.05, 0.25, 0.5, 0.75 and 0.95."""


class Score(BaseModel):
    """What labels say of some answers: `share` of classes and texts, `errors` of numbers."""

    share: Share
    errors: NumberErrors | None


class Cell(BaseModel):
    """How often one class was answered where another, or the same, is right."""

    truth: str
    answer: str | None
    """Null for an answer that is no class."""
    n: int


class Confusion(BaseModel):
    """The confusion matrix without its zeros, most frequent first."""

    labels: list[str]
    """All classes of the version, in its order, and what else was said."""
    cells: list[Cell]
    more: int
    """Cells that are left out, as there are very many classes."""


class CalibrationBin(BaseModel):
    """Answers whose confidence is over `lower` and up to `upper`."""

    lower: float
    upper: float
    n: int
    confidence: float | None
    """Their mean confidence; null without any."""
    accuracy: float | None


class Calibration(BaseModel):
    """Whether the version is as often right as it says: the reliability curve, and the expected calibration error."""

    n: int
    """Answers that say how sure they are."""
    ece: float
    bins: list[CalibrationBin]


class Gap(BaseModel):
    """A metric of the version's training record beside the live one."""

    metric: str
    training: float
    live: float
    gap: float
    """By how much the training record promises more: positive is worse, for an error too."""


class ServedAnswers(BaseModel):
    """The part of a version's answers that one deployment gave; an alias's are those of its deployment."""

    deployment: str
    score: Score


class VersionScore(BaseModel):
    """What the current labels say of one version: of its newest answer to each input."""

    experiment: str
    version: int
    task: str
    served_by: list[str]
    """Deployments that are to serve it now."""
    labels: int
    """Current labels of its task, whether it answered their inputs or not."""
    score: Score
    by_chosen: dict[str, Score]
    """The same by how the inputs were chosen: `random` alone is unbiased, `queue` and `other` are not."""
    by_deployment: list[ServedAnswers]
    confusion: Confusion | None
    """Of classes."""
    calibration: Calibration | None
    """Of answers with probabilities."""
    generalisation: list[Gap]


class VersionName(BaseModel):
    """A version by its address."""

    experiment: str
    version: int


class PairScore(BaseModel):
    """Two versions of one task on the labelled inputs that both answered; of numbers the nearer answer is right."""

    one: VersionName
    other: VersionName
    n: int
    both_right: int
    only_one: int
    only_other: int
    neither: int
    difference: float | None
    """Share of right answers of the one minus that of the other, -1 to 1."""


class Scores(BaseModel):
    """Scores of versions, newest version first, and of every pair of them that has one task."""

    items: list[VersionScore]
    pairs: list[PairScore]
    next: str | None
