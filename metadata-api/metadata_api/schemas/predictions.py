"""Bodies of the routes for predictions."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from metadata_api.errors import ErrorBody


class Probability(BaseModel):
    """How sure a model is of one label, 0 to 1."""

    label: str
    probability: float


class Prediction(BaseModel):
    """One answer of one version to one image, or the reason why there is none."""

    prediction_id: UUID
    deployment: str
    alias: str | None
    """The alias that was asked; null when the deployment was."""
    experiment: str
    version: int | None
    """The version that answered, which during a change may not be the desired one."""
    status: Literal["ok", "error"]
    kind: str
    """Of the answer: what the model gives, such as probabilities."""
    label: str | None
    probabilities: list[Probability] | None
    """Most probable first."""
    latency_ms: float
    error: ErrorBody | None


class Result(Prediction):
    """A prediction as it is answered at once, with the image that the model saw."""

    preprocessed: str | None
    """PNG in base64 of what really went into the network; not recorded."""
    warning: str | None
    """What the model finds unusual about the image, so that its answer means little; not recorded."""


class RecordedPrediction(Prediction):
    """A prediction as it was recorded."""

    request_id: UUID
    """Shared by the answers to one call."""
    input_sha256: str
    source: Literal["ui", "api", "v2"]
    """Who asked: the pages, another client of this API, or one of v2."""
    lineage: dict[str, Any]
    created_at: datetime


class PredictionPage(BaseModel):
    """Recorded predictions, newest first."""

    items: list[RecordedPrediction]
    total: int
    next: str | None


class PredictedInput(BaseModel):
    """What a call was about, as it is stored."""

    sha256: str
    kind: str
    """image, text, row or tensors."""
    media_type: str
    size: int
    """Of what is stored, in bytes."""
    summary: dict[str, Any]
    """Of an image its `width` and `height` in pixels."""
    url: str


class Agreement(BaseModel):
    """How the models that answered voted; no label when the most votes are shared."""

    label: str | None
    votes: int
    of: int
    unanimous: bool


class Comparison(BaseModel):
    """What every asked deployment says about one image."""

    id: UUID
    input: PredictedInput
    deadline_ms: int
    results: list[Result]
    agreement: Agreement
