"""Bodies of the route for the queue of inputs to label."""

from typing import Literal

from pydantic import BaseModel

from metadata_api.schemas.predictions import StoredInput

Reason = Literal["candidate_differs", "versions_differ", "small_margin", "unanswered", "random"]
DETAILS: dict[Reason, str] = {
    "candidate_differs": "A candidate answers otherwise than the champion.",
    "versions_differ": "Versions that are served answer differently.",
    "small_margin": "A version is less sure than of other inputs.",
    "unanswered": "Recorded traffic, with no answer kept: it scores a version once that is asked.",
    "random": "Drawn at random, for the unbiased score.",
}


class Takes(BaseModel):
    """What a label of the task is."""

    fields: list[Literal["label", "number", "text"]]
    """Which fields of a label may say it."""
    labels: list[str]
    """The classes; empty where any will do."""
    unit: str | None
    """Of numbers."""


class QueueItem(BaseModel):
    """One input to label. What models said about it is not told."""

    input: StoredInput
    chosen: Literal["random", "queue"]
    """What the label shall say as `chosen`."""
    reason: Reason
    detail: str
    """The reason as a sentence."""


class LabelQueue(BaseModel):
    """What to label next, in this order, and how far the task is."""

    task: str
    takes: Takes
    items: list[QueueItem]
    labelled: int
    """Inputs of the task that have a label."""
    open: int
    """Inputs that may be labelled, among the 5,000 newest."""
    decisive: int
    """Those of them to which versions answer differently."""
    random_share: float
    """Of places in the queue that have an input drawn at random."""
