"""What the API says of labels and of the queue, as far as the page Label shows it."""

from datetime import datetime

from pydantic import Field, JsonValue

from model_ui.spec_types import ApiModel


class QueueInput(ApiModel):
    """An input to label."""

    sha256: str
    kind: str
    summary: dict[str, JsonValue] = Field(default_factory=dict)


class QueueItem(ApiModel):
    """One place of the queue."""

    input: QueueInput
    chosen: str = "other"
    detail: str = ""


class Takes(ApiModel):
    """What a label of the task is."""

    fields: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    unit: str | None = None


class LabelQueue(ApiModel):
    """What to label next, and how far the task is."""

    task: str
    takes: Takes
    items: tuple[QueueItem, ...] = ()
    labelled: int = 0
    open: int = 0
    decisive: int = 0


class Label(ApiModel):
    """What somebody said is right."""

    id: int = 0
    task: str
    label: str | None = None
    number: float | None = None
    text: str | None = None
    author: str = ""
    note: str = ""
    created_at: datetime | None = None
    current: bool = True

    @property
    def field(self) -> str:
        """Which of the three says it."""
        return "number" if self.number is not None else "label" if self.label is not None else "text"

    @property
    def value(self) -> str:
        """The answer as it is typed."""
        return self.words if self.number is None else str(self.number)

    @property
    def words(self) -> str:
        """The answer in words."""
        if self.number is not None:
            return f"{self.number:g}"
        return self.label if self.label is not None else self.text or ""


class LabelPage(ApiModel):
    """Labels of one input, newest first."""

    items: tuple[Label, ...] = ()
