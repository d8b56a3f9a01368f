"""What the metadata API answers to a prediction, as far as the Try page shows it; unknown fields are ignored."""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from model_ui.api_types import Fault
from model_ui.spec_types import ApiModel


class Probability(ApiModel):
    """How sure a model is of one label, 0 to 1."""

    label: str
    probability: float


class Box(ApiModel):
    """One thing that a model found: left, top, right and bottom in pixels of the image that was sent."""

    label: str = ""
    score: float = 0.0
    box: tuple[float, float, float, float]


class OutputTensor(ApiModel):
    """One output as the model gave it; `data` is flat, row by row, and None when it is long."""

    name: str = ""
    datatype: str = ""
    shape: tuple[int, ...] = ()
    data: JsonValue = None


class Result(ApiModel):
    """What one deployment said, or why it said nothing; `kind` tells which of the fields holds the answer.

    `preprocessed` is a PNG in base64, `warning` says what the model finds unusual about the input, and `cold` that it
    had to be started first.
    """

    deployment: str
    experiment: str
    task: str = ""
    alias: str | None = None
    version: int | None = None
    status: Literal["ok", "error", "unanswered"]
    kind: str = "raw"
    label: str | None = None
    probabilities: tuple[Probability, ...] | None = None
    number: float | None = None
    unit: str | None = None
    text: str | None = None
    boxes: tuple[Box, ...] | None = None
    tensors: tuple[OutputTensor, ...] | None = None
    latency_ms: float | None = 0.0
    cold: bool = False
    preprocessed: str | None = None
    warning: str | None = None
    error: Fault | None = None


class NotAsked(ApiModel):
    """A deployment that was not asked, and why; None for an experiment that none serves."""

    deployment: str | None = None
    experiment: str = ""
    reason: str = ""
    detail: str = ""


class AskedInput(ApiModel):
    """What the deployments were asked about; the summary of an image has its `width` and `height` in pixels."""

    sha256: str = ""
    kind: str = ""
    summary: dict[str, JsonValue] = Field(default_factory=dict)


class Comparison(ApiModel):
    """What every asked deployment says about one input."""

    input: AskedInput = AskedInput()
    results: tuple[Result, ...]
    not_asked: tuple[NotAsked, ...] = ()


class RecordedInput(ApiModel):
    """What models were asked about, as it is stored."""

    sha256: str = ""
    kind: str = ""
    media_type: str = ""
    size: int = 0
    summary: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def words(self) -> str:
        """Its beginning, or what is known of it, in a line."""
        summary = self.summary
        if isinstance(values := summary.get("values"), dict):
            return ", ".join(
                f"{name} {'missing' if value is None else value}" for name, value in values.items()
            )
        if isinstance(tensors := summary.get("tensors"), list):
            return ", ".join(" ".join(map(str, one.values())) for one in tensors if isinstance(one, dict))
        return ", ".join(
            str(value) if name == "text" else f"{name} {value}"
            for name, value in summary.items()
            if name != "characters"
        )


class Answered(Result):
    """A result that was recorded."""

    prediction_id: str


class Recorded(Answered):
    """A prediction as it was recorded."""

    request_id: str
    input_sha256: str
    input: RecordedInput | None = None
    source: str = ""
    asked_by: str | None = None
    disagrees: bool = False
    lineage: dict[str, JsonValue] = Field(default_factory=dict)
    created_at: datetime | None = None


class RecordedPage(ApiModel):
    """Recorded predictions, newest first."""

    items: tuple[Recorded, ...]
    total: int = 0
    total_is_exact: bool = True
    next: str | None = None


class Difference(ApiModel):
    """One field in which two answers differ."""

    field: str
    before: JsonValue = None
    after: JsonValue = None


class AskedAgain(ApiModel):
    """A prediction, the answer now, and in what they differ."""

    after: Answered
    same: bool
    differences: tuple[Difference, ...] = ()
