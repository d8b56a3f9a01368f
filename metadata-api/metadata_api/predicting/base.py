"""What kinds of inputs and of answers have in common; each kind is a module of `inputs` or of `answers`."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.protocol.json_answers import Box
from serving_runtime.protocol.tensors import Tensor

Json = dict[str, Any]
# Longest text of an answer that is told and recorded, in characters.
TEXT_CHARACTERS = 65_536


class CannotTake(Exception):
    """Why a model is not asked.

    `code` begins with takes_other_; `distance` says by how much the input differs from one that the model takes, and
    is 0 when it is something else altogether. When no model takes an input, the nearest says what is wrong with it.
    """

    def __init__(self, code: str, detail: str, *, distance: int = 0) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.distance = distance


@dataclass(frozen=True)
class ParsedInput:
    """What a request brought, checked."""

    kind: str
    file: bytes
    """The bytes that are kept; the same input always has the same."""
    media_type: str
    content: Any
    """What the kind makes tensors of."""
    width: int | None = None
    height: int | None = None
    summary: Json = field(default_factory=dict)
    """What lists show of it, short."""

    @cached_property
    def sha256(self) -> str:
        """Of the bytes that are kept."""
        return hashlib.sha256(self.file).hexdigest()


class InputKind(Protocol):
    """What a module of `inputs` has; its name is the kind, and that of its field in a request."""

    BODY: Any
    """The field's type in a JSON body as pydantic takes it; None for a kind that comes as a file of a form."""

    def parse(self, value: Any) -> ParsedInput:
        """Check what a request brought; raises Invalid, TooLarge, UnsupportedMedia."""

    def load(self, file: bytes) -> Any:
        """The content of bytes that were kept."""

    def may_fit(self, summary: Json, inputs: Sequence[TensorSpec]) -> bool:
        """Whether a model with these inputs may take an input, by its kind and the summary that is kept of it."""

    def tensors(self, content: Any, inputs: Sequence[TensorSpec]) -> list[Tensor]:
        """The input as a model with these inputs takes it, one row; raises CannotTake."""

    def of_row(self, row: Sequence[Tensor], inputs: Sequence[TensorSpec], /) -> ParsedInput | None:
        """The way back: what a row for a model with these inputs is as this kind; None when it is another.

        Nothing is lost on it. Raises Invalid, TooLarge, UnsupportedMedia as `parse` does.
        """


@dataclass(frozen=True)
class Answer:
    """What a model said about one input; what its kind does not have is None."""

    kind: str
    label: str | None = None
    probabilities: list[tuple[str, float]] | None = None
    """Most probable first."""
    number: float | None = None
    unit: str | None = None
    text: str | None = None
    boxes: list[Box] | None = None
    tensors: list[Json] | None = None
    """Each with name, datatype, shape and flat data, which is None when it is long."""


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model for one row, with what the version says of them."""

    specs: Sequence[TensorSpec]
    labels: Sequence[str]
    tensors: Mapping[str, Tensor]

    def of_kind(self, kind: str) -> tuple[TensorSpec, Tensor] | None:
        """The first output of a kind that was answered."""
        for spec in self.specs:
            tensor = self.tensors.get(spec.name)
            if spec.kind == kind and tensor is not None:
                return spec, tensor
        return None


class AnswerKind(Protocol):
    """What a module of `answers` has; its name is the kind of output that it reads."""

    RANK: int
    """Of several outputs the one whose kind has the lowest rank is the answer."""
    FAMILY: str
    """How answers of this kind are compared: classes, numbers, texts or none."""

    def read(self, outputs: Outputs) -> Answer:
        """The answer; there is an output of this kind. Raises ValueError for one that cannot be read."""


def text_of(element: bytes | str) -> str:
    """Text of a model as a database and a page can hold it."""
    text = element if isinstance(element, str) else element.decode(errors="replace")
    return text.replace("\x00", "").encode(errors="replace").decode()[:TEXT_CHARACTERS]
