"""What is recorded of a deployment's v2 traffic."""

from typing import Annotated

from pydantic import BaseModel, Field

from metadata_api.schemas.fields import Body
from serving_runtime.contracts import MAX_RETENTION_DAYS

Rate = Annotated[float, Field(ge=0, le=1, description="Share of the requests that is recorded; 0 is off.")]
Answers = Annotated[bool, Field(description="Whether answers are recorded too, or only inputs.")]
RetentionDays = Annotated[
    int,
    Field(
        ge=1,
        le=MAX_RETENTION_DAYS,
        description="How long it is kept; null means as long as the installation keeps predictions.",
    ),
]


class NewRecording(Body):
    """What to record of a deployment's v2 traffic, as predictions that people can label."""

    rate: Rate = 0.0
    answers: Answers = True
    retention_days: RetentionDays | None = None


class Recording(BaseModel):
    """What is recorded of a deployment's v2 traffic."""

    rate: Rate
    answers: Answers
    retention_days: RetentionDays | None


class RecordingAddress(BaseModel):
    """Where events of a deployment's v2 traffic are taken, as the servers of models reach it; it has its key in it."""

    url: str
