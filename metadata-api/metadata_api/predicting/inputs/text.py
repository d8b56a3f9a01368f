"""One text, for models that take texts."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from metadata_api.errors import Invalid
from metadata_api.predicting.base import CannotTake, Json, ParsedInput
from metadata_api.schemas.fields import LongText
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.protocol.tensors import Tensor

BODY = Annotated[LongText, Field(min_length=1, description="A text, for models that take texts.")]
_SHOWN = 200


def parse(value: str) -> ParsedInput:
    """A text, kept as UTF-8; raises Invalid for one that is none."""
    try:
        file = value.encode()
    except UnicodeEncodeError:
        raise Invalid("text_invalid", "The text has halves of characters. Send whole ones.") from None
    summary = {"text": value[:_SHOWN], "characters": len(value)}
    return ParsedInput("text", file, "text/plain; charset=utf-8", file, summary=summary)


def load(file: bytes) -> bytes:
    """A kept text as it is sent."""
    return file


def may_fit(_: Json, inputs: Sequence[TensorSpec]) -> bool:
    """Whether a model takes one text, or whatever bytes it is sent."""
    return len(inputs) == 1 and inputs[0].kind in ("text", "raw") and "BYTES" in inputs[0].accepts


def tensors(content: bytes, inputs: Sequence[TensorSpec]) -> list[Tensor]:
    """The text as the one element of a row."""
    spec = inputs[0]
    if not may_fit({}, inputs):
        kinds = " and ".join(sorted({one.kind for one in inputs}))
        raise CannotTake("takes_other_kind", f"It takes {kinds}, no text.")
    return [Tensor(spec.name, "BYTES", (1, *(1 for _ in spec.shape[1:])), [content])]


def of_row(row: Sequence[Tensor], inputs: Sequence[TensorSpec]) -> ParsedInput | None:
    """The only element of a text's tensor, unless it is no text."""
    data = row[0].data
    if len(row) != 1 or inputs[0].kind not in ("text", "raw") or not isinstance(data, list) or len(data) != 1:
        return None
    try:
        text = data[0].decode()
    except UnicodeDecodeError:
        return None
    # As bodies have it: Postgres holds no NUL, and nobody labels what is empty.
    return parse(text) if text and "\x00" not in text else None
