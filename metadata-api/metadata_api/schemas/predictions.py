"""Bodies of the routes for predictions and inputs."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from metadata_api.errors import ErrorBody
from metadata_api.schemas.fields import SHA256, Name, ShortText


class Probability(BaseModel):
    """How sure a model is of one label, 0 to 1."""

    label: str
    probability: float


class Box(BaseModel):
    """One object on an image, with how sure the model is, 0 to 1."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the upright image."""


class AnsweredTensor(BaseModel):
    """One output of a model."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | None
    """Flat; null when it is long."""


class Prediction(BaseModel):
    """One answer of one version to one input, or the reason why there is none; what the kind does not have is null."""

    prediction_id: UUID
    deployment: str
    alias: str | None
    """The alias that was asked; null when the deployment was."""
    experiment: str
    version: int | None
    """The version that answered, which during a change may not be the desired one."""
    status: Literal["ok", "error", "unanswered"]
    """unanswered is recorded v2 traffic whose answer is not recorded, or not yet."""
    kind: str
    """Of the answer: probabilities, label, number, text, boxes, tensor or raw."""
    label: str | None = None
    probabilities: list[Probability] | None = None
    """Most probable first, at most 100."""
    number: float | None = None
    unit: str | None = None
    text: str | None = None
    boxes: list[Box] | None = None
    """Surest first, at most 300."""
    tensors: list[AnsweredTensor] | None = None
    latency_ms: float | None
    """Null where nothing answered, or a recorded answer does not say when."""
    error: ErrorBody | None


class Result(Prediction):
    """A prediction as it is answered at once, with what the model got of an image."""

    status: Literal["ok", "error"]
    latency_ms: float
    task: str
    """Of the model; answers of one task are compared with each other."""
    cold: bool
    """Whether the model was not ready yet when it was asked, so that the latency tells how long it took to start."""
    preprocessed: str | None
    """PNG in base64 of what really went into the network; not recorded."""
    warning: str | None
    """What the model finds unusual about the input, so that its answer means little; not recorded."""


class Input(BaseModel):
    """What models were asked about, as it is stored."""

    sha256: str
    kind: str
    """image, text, row or tensors."""
    media_type: str
    size: int
    """Of what is stored, in bytes."""
    summary: dict[str, Any]
    """Of an image its `width` and `height` in pixels, of others their beginning."""
    url: str | None
    """Where the bytes are; null when no model was asked, as then nothing is stored."""


class RecordedPrediction(Prediction):
    """A prediction as it was recorded."""

    request_id: UUID
    """Shared by the answers to one call."""
    input_sha256: str
    input: Input
    source: Literal["ui", "api", "v2"]
    """Who asked: the pages, another client of this API, or one of v2."""
    asked_by: str | None
    """The verified caller; null for what nobody asked, as a replay, and for what is from before it was recorded."""
    lineage: dict[str, Any]
    disagrees: bool
    """Whether another answer of the same call, to the same task, was another label or text."""
    created_at: datetime


class PredictionQuery(BaseModel):
    """Which recorded predictions a list has."""

    deployment: Name | None = None
    alias: Name | None = None
    experiment: Name | None = None
    status: Literal["ok", "error", "unanswered"] | None = None
    source: Annotated[
        Literal["ui", "api", "v2"] | None, Field(description="Who asked; v2 is recorded traffic.")
    ] = None
    label: ShortText | None = None
    input_sha256: Annotated[str | None, Field(alias="input", pattern=SHA256, description="Its sha256.")] = (
        None
    )
    request_id: Annotated[UUID | None, Field(description="The id of one call.")] = None
    disagree: Annotated[
        bool | None, Field(description="Only answers to which another of the same call and task disagrees.")
    ] = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 20
    cursor: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None


class Difference(BaseModel):
    """One field in which two answers to the same input differ."""

    field: str
    before: Any
    after: Any


class AskedAgain(BaseModel):
    """A recorded prediction, and the answer to the same input by the same version now, which is recorded too."""

    before: RecordedPrediction
    after: Prediction
    same: bool
    differences: list[Difference]
    """Without the latency, which always differs."""


class PredictionPage(BaseModel):
    """Recorded predictions, newest first."""

    items: list[RecordedPrediction]
    total: int
    """10,000 at most."""
    total_is_exact: bool
    """Whether there are no more than that."""
    next: str | None


class StoredInput(Input):
    """An input of the list."""

    created_at: datetime


class InputPage(BaseModel):
    """Stored inputs, newest first."""

    items: list[StoredInput]
    next: str | None


class NotAsked(BaseModel):
    """A deployment that was not asked: no call, no record."""

    deployment: str | None
    """Null for an experiment that no running deployment serves."""
    experiment: str
    reason: str
    """A code: takes_other_kind, takes_other_size, takes_other_columns, takes_other_values, stopped, alias_stale,
    not_deployed."""
    detail: str


class Agreement(BaseModel):
    """How far the answers of one task agree; `of` is how many there are."""

    task: str
    of: int


class ClassAgreement(Agreement):
    """How the models that answered voted; no label when the most votes are shared."""

    kind: Literal["classes"]
    label: str | None
    votes: int
    unanimous: bool
    margin: float
    """Share of the votes for the first label minus that for the second, 0 to 1."""
    entropy: float
    """Of the votes, in bits; 0 when all agree."""
    disagree: list[tuple[str, str]]
    """Deployments that say different labels, by pairs, at most 500."""


class NumberAgreement(Agreement):
    """How far the numbers are from each other; `spread` is their standard deviation."""

    kind: Literal["numbers"]
    least: float
    greatest: float
    mean: float
    spread: float
    unit: str | None
    """Null where they have none, or not the same."""


class TextGroup(BaseModel):
    """Deployments that say the same."""

    text: str
    deployments: list[str]


class TextAgreement(Agreement):
    """Who says the same, the largest group first."""

    kind: Literal["texts"]
    groups: list[TextGroup]


class NoAgreement(Agreement):
    """Answers that cannot be compared."""

    kind: Literal["none"]


AnyAgreement = ClassAgreement | NumberAgreement | TextAgreement | NoAgreement


class Comparison(BaseModel):
    """What every asked deployment says about one input."""

    id: UUID
    input: Input
    deadline_ms: int
    """The longest that any was waited for."""
    results: list[Result]
    not_asked: list[NotAsked]
    agreements: list[Annotated[AnyAgreement, Field(discriminator="kind")]]
    """One for each task that has answers."""
