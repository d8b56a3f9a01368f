"""What a model takes and gives, as the metadata API says it of versions and deployments; unknown fields are ignored."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue


class ApiModel(BaseModel):
    """Parent of all: read only, and tolerant of what a newer API adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ImageFormat(ApiModel):
    """The images that go into a network, in pixels; None means any width or height."""

    width: int | None = None
    height: int | None = None
    channels: int = 1
    minimum: float = 0
    maximum: float = 255


class Column(ApiModel):
    """One named value of a table's row: a number with its usual range, or one of several categories."""

    name: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    example: JsonValue = None
    optional: bool = False
    """Whether its value may be missing."""


class Tensor(ApiModel):
    """One input or output of a model; -1 in a shape is the batch."""

    name: str = ""
    datatype: str = ""
    shape: tuple[int, ...] = ()
    kind: str = "raw"
    image: ImageFormat | None = None
    columns: tuple[Column, ...] = ()
    unit: str = ""
    example: JsonValue = None


class ArchiveSettings(ApiModel):
    """What an archive's configuration file asks for, and what of it has no effect here, each with its reason."""

    batch_size: int | None = None
    batch_delay_seconds: float | None = None
    startup_seconds: float | None = None
    response_seconds: float | None = None
    not_honoured: tuple[str, ...] = ()


class Version(ApiModel):
    """One uploaded archive of an experiment, as it was checked; `size` is in bytes."""

    experiment: str
    version: int
    sha256: str
    size: int = 0
    task: str = ""
    environment: str = ""
    handler: str = ""
    files: tuple[str, ...] = ()
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    labels: tuple[str, ...] = ()
    metrics: dict[str, JsonValue] | None = None
    archive_settings: ArchiveSettings | None = None
    signed_by: str | None = None
    uploaded_by: str | None = None
    created_at: datetime | None = None
    download: str = ""
