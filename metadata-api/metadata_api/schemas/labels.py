"""Bodies of the routes for labels."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from metadata_api.schemas.fields import Body, ShortText, Text

Chosen = Literal["random", "queue", "other"]
# Beyond it the mean of several would be infinite, which JSON cannot say.
Number = Annotated[float, Field(gt=-1e150, lt=1e150)]
TaskName = Annotated[ShortText, Field(min_length=1)]
Stripped = AfterValidator(str.strip)


class NewLabel(Body):
    """The right answer to an input: of `label`, `number` and `text` the one that the task takes."""

    task: TaskName
    label: ShortText | None = None
    """A class."""
    number: Number | None = None
    text: Annotated[Text, Stripped] | None = None
    note: Annotated[Text, Stripped] = ""
    """Why, in the annotator's words."""
    chosen: Chosen = "other"
    """How the input was chosen, as the queue said it: scores say on which labels they rest."""
    supersedes: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    """The id of the label that it takes the place of, 0 where there is none: 409 `label_changed` when that is no longer
    so, as of two people who label at once. Null takes the place of any."""


class NewSkip(Body):
    """An input that the caller does not want to label for a task."""

    task: TaskName


class Label(BaseModel):
    """The right answer to an input for a task, as somebody said it."""

    id: int
    input_sha256: str
    task: str
    label: str | None
    number: float | None
    text: str | None
    note: str
    author: str
    """The verified caller."""
    chosen: Chosen
    """How the input was chosen; a correction keeps it."""
    created_at: datetime
    current: bool
    supersedes: int | None
    """The id of the label that it took the place of."""
    superseded_at: datetime | None
    """Null while it is current."""


class LabelPage(BaseModel):
    """Labels of one input, newest first: for each task one is current, the others are its history."""

    items: list[Label]
    total: int
    next: str | None
