"""Bodies of the routes for versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from serving_runtime.archive.tensor_kinds import TensorSpec, as_document


class _Sparse(BaseModel):
    """Leaves out what it does not have."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        kept = ("content_type", "width", "height")
        found: dict[str, Any] = serialize(self)
        return {name: value for name, value in found.items() if value is not None or name in kept}


class ImageFormat(_Sparse):
    """The image that goes into the network, in pixels; null for a width or height means any."""

    width: int | None
    height: int | None
    channels: int
    layout: str
    """HW, HWC or CHW, the order of height, width and channels."""
    minimum: float
    maximum: float


class Column(_Sparse):
    """One number or text of a row."""

    name: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str] | None = None
    """What it may be: a table of numbers takes the index of one, a table of BYTES its text."""
    example: float | str | None = None
    optional: bool | None = None
    """Whether its value may be missing: null or left out in a row, an empty text in v2."""


class Tensor(_Sparse):
    """One input or output of a model, as its `model.yaml` states it or as it is derived; -1 in a shape is the batch."""

    name: str
    datatype: str
    shape: list[int]
    accepts: list[str]
    kind: str
    """image, table, text, tensor or raw; of outputs probabilities, label, number, text, boxes, tensor or raw."""
    content_type: str | None
    """The same in MLServer's words: np, str or base64; null when nothing is known."""
    image: ImageFormat | None = None
    columns: list[Column] | None = None
    unit: str | None = None
    example: Any = None


def tensors(specs: Sequence[TensorSpec]) -> list[Tensor]:
    """Tensors as a body shows them."""
    return [Tensor.model_validate(as_document(spec)) for spec in specs]


class ArchiveSettings(BaseModel):
    """What an archive's configuration file (`--config-file`) asks for; null where it says nothing."""

    batch_size: int | None = None
    """Most rows of concurrent requests in one call."""
    batch_delay_seconds: float | None = None
    """How long a request waits for others."""
    startup_seconds: float | None = None
    response_seconds: float | None = None
    not_honoured: list[str] = []
    """What has no effect here, and why."""


class Version(BaseModel):
    """One immutable `.mar` of an experiment."""

    experiment: str
    version: int
    sha256: str
    """Of the canonical archive that is stored and served."""
    uploaded_sha256: str
    """Of the bytes as they were first uploaded."""
    uploaded_by: str | None
    """The caller that uploaded them first, as its credential proved it; null where it was not recorded."""
    uploaded_from: str | None
    """The address that they came from."""
    signed_by: str | None
    """Name of the trusted key that signed the bytes as they were uploaded; null without a signature."""
    signing_key_sha256: str | None
    """sha256 of that public key's PEM, by which signatures name it."""
    size: int
    task: str
    """Versions of one task take and give the same, so that they can be asked the same and be compared."""
    environment: str
    """The environment that the model runs in."""
    inputs: list[Tensor]
    outputs: list[Tensor]
    labels: list[str]
    handler: str
    files: list[str]
    metrics: dict[str, Any] | None
    archive_settings: ArchiveSettings | None
    """Defaults that the archive brings for its deployments; null when it has no configuration file."""
    deployments: list[str]
    """Names of those that shall serve it."""
    created_at: datetime
    download: str
    """Path of the archive on this API."""


class VersionPage(BaseModel):
    """Versions, newest first."""

    items: list[Version]
    total: int
    next: str | None
