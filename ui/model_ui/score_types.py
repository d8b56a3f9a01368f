"""What the API says of scores, as far as the page Scores shows them."""

from pydantic import Field

from model_ui.spec_types import ApiModel


class Share(ApiModel):
    """How many answers are right, with Wilson's interval."""

    n: int = 0
    right: int = 0
    accuracy: float | None = None
    interval: tuple[float, float] | None = None


class NumberErrors(ApiModel):
    """How far numbers are from the right ones."""

    n: int
    mae: float
    rmse: float


class Score(ApiModel):
    """What labels say of some answers."""

    share: Share = Share()
    errors: NumberErrors | None = None


class Cell(ApiModel):
    """How often one class was answered where a class is right."""

    truth: str
    answer: str | None = None
    n: int


class Confusion(ApiModel):
    """The confusion matrix without its zeros."""

    labels: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()


class CalibrationBin(ApiModel):
    """Answers of like confidence."""

    n: int
    confidence: float | None = None
    accuracy: float | None = None


class Calibration(ApiModel):
    """The reliability curve."""

    n: int
    ece: float
    bins: tuple[CalibrationBin, ...] = ()


class Gap(ApiModel):
    """A metric of the training record beside the live one."""

    metric: str
    training: float
    live: float
    gap: float


class VersionScore(ApiModel):
    """What the labels say of one version."""

    experiment: str
    version: int
    task: str
    served_by: tuple[str, ...] = ()
    labels: int = 0
    score: Score = Score()
    by_chosen: dict[str, Score] = Field(default_factory=dict)
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    generalisation: tuple[Gap, ...] = ()

    @property
    def key(self) -> str:
        """The version as the page's address names it."""
        return f"{self.experiment}/{self.version}"

    @property
    def n(self) -> int:
        """Labelled inputs that it answered."""
        return self.score.share.n + (self.score.errors.n if self.score.errors else 0)

    @property
    def at_random(self) -> Score:
        """The unbiased part."""
        return self.by_chosen.get("random", Score())


class Scores(ApiModel):
    """Scores of several versions."""

    items: tuple[VersionScore, ...] = ()
