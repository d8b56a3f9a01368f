"""What a model takes and gives as a whole, and to which task that belongs; also where no model spec says it."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from serving_runtime.archive import stock_handlers, tensor_kinds
from serving_runtime.archive.model_spec import ModelSpec
from serving_runtime.archive.stock_handlers import StockHandler
from serving_runtime.archive.tensor_kinds import TensorSpec, as_document
from serving_runtime.contracts import IMAGE_MAGIC

PLAIN_INPUT, PLAIN_OUTPUT = "data", "result"
"""What a model without a spec takes and gives: one element is what TorchServe's handlers get as a body."""

_PLAIN = {"datatype": "BYTES", "shape": [-1]}
_ANSWERS = {"probabilities": "classes", "label": "classes"}


@dataclass(frozen=True)
class Interface:
    """What a model takes and gives. Models of one `task` can be asked the same and be compared."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    named_task: str = ""

    @cached_property
    def task(self) -> str:
        """The name that the archive gives, or one that all models have which take and give the same."""
        return self.named_task or _derived(self.inputs, self.outputs, self.labels)


def of_archive(
    spec: ModelSpec | None,
    stock: StockHandler | None = None,
    golden: dict[str, Any] | None = None,
    labels: Sequence[str] = (),
) -> Interface:
    """What an archive says: its model spec, else its handler if that is TorchServe's, its golden pair, its `labels`."""
    if spec is not None:
        return _interface(spec.inputs, spec.outputs, spec.labels, spec.task)
    kinds = [
        known if known != "raw" else told for known, told in zip(_kinds(stock), _told_by(golden), strict=True)
    ]
    return _interface((_plain(PLAIN_INPUT, kinds[0]),), (_plain(PLAIN_OUTPUT, kinds[1]),), labels)


def of_documents(
    inputs: Sequence[dict[str, Any]],
    outputs: Sequence[dict[str, Any]],
    labels: Sequence[str],
    handler: str,
    task: str | None = None,
) -> Interface:
    """The same from the documents of a version's row; of one from before there were kinds they are derived.

    A row from before there were model specs has no documents: it takes and gives what a model without one does.
    """
    inputs = inputs or [{"name": PLAIN_INPUT, **_PLAIN}]
    outputs = outputs or [{"name": PLAIN_OUTPUT, **_PLAIN}]
    taken, given = ([item["name"] for item in items] for items in (inputs, outputs))
    kinds = ("", "")
    if taken == [PLAIN_INPUT] and given == [PLAIN_OUTPUT]:
        kinds = _kinds(stock_handlers.of(handler, None))
    read = tensor_kinds.from_document
    return _interface(
        tuple(read(item, is_input=True, labels=labels, kind=kinds[0]) for item in inputs),
        tuple(read(item, is_input=False, labels=labels, kind=kinds[1]) for item in outputs),
        labels,
        task,
    )


def labels_of_index(names: object) -> tuple[str, ...]:
    """The labels of TorchServe's index_to_name.json in the order of the indices; none when it is not read so."""
    if not isinstance(names, dict):
        return ()
    found = [names.get(str(at)) for at in range(len(names))]
    # ImageNet's has pairs: an id and a name, which is what TorchServe answers.
    last = [item[-1] if isinstance(item, list) and item else item for item in found]
    labels = [item for item in last if isinstance(item, str) and len(item) <= 200 and item.isprintable()]
    return tuple(labels) if len(set(labels)) == len(names) else ()


def _interface(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    labels: Sequence[str],
    task: str | None = None,
) -> Interface:
    return Interface(tuple(inputs), tuple(outputs), tuple(labels), task or "")


def _derived(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], labels: Sequence[str]) -> str:
    """A name for what is taken and given that is the same for all models that take and give the same."""
    given = sorted({_ANSWERS.get(output.kind, output.kind) for output in outputs})
    shapes = [list(output.shape) for output in outputs if output.kind in ("tensor", "raw")]
    key = [
        [_taken(tensor) for tensor in inputs],
        given,
        shapes,
        [output.unit for output in outputs if output.unit],
    ]
    text = json.dumps([*key, list(labels) if "classes" in given else []], sort_keys=True)
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{inputs[0].kind}-{given[0]}-{digest}"


def _taken(tensor: TensorSpec) -> list[Any]:
    document = as_document(tensor)
    if tensor.image is not None:
        return ["image", tensor.image.width, tensor.image.height, tensor.image.channels]
    if tensor.columns:
        return ["table", [[column["name"], column.get("categories")] for column in document["columns"]]]
    return [tensor.kind, document["shape"], tensor.datatype if tensor.kind == "tensor" else ""]


def _kinds(stock: StockHandler | None) -> tuple[str, str]:
    return (stock.input_kind, stock.output_kind) if stock is not None else ("raw", "raw")


def _plain(name: str, kind: str) -> TensorSpec:
    return TensorSpec(name, "BYTES", (-1,), ("BYTES",), kind)


def _told_by(golden: dict[str, Any] | None) -> tuple[str, str]:
    """The kinds of a golden pair's elements, as far as they are those of a model without a spec."""
    taken = _element(golden, "request", "inputs", PLAIN_INPUT)
    given = _element(golden, "response", "outputs", PLAIN_OUTPUT)
    if taken is None:
        return "raw", "raw"
    is_image = any(taken.startswith(magic) for magic in IMAGE_MAGIC)
    return "image" if is_image else "text", _answer_kind(given)


def _element(golden: dict[str, Any] | None, side: str, tensors: str, name: str) -> bytes | None:
    """The first element of the only tensor of one side; None when it is another or cannot be read."""
    try:
        (tensor,) = (golden or {})[side][tensors]
        text = tensor["data"][0]
        if tensor["name"] != name or tensor["datatype"] != "BYTES" or not isinstance(text, str):
            return None
        encoded = (tensor.get("parameters") or {}).get("content_type") == "base64"
        decoded = base64.b64decode(text, validate=True) if encoded else _image_of(text)
        return text.encode("utf-8", "replace") if decoded is None else decoded
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None


def _image_of(text: str) -> bytes | None:
    """The bytes of an image file that a text holds as base64, as TorchServe's image handlers read texts."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if any(decoded.startswith(magic) for magic in IMAGE_MAGIC) else None


def _answer_kind(given: bytes | None) -> str:
    if given is None:
        return "raw"
    try:
        value = json.loads(given)
    except (ValueError, RecursionError):
        return "text"
    if isinstance(value, dict) and value and all(type(item) in (int, float) for item in value.values()):
        return "probabilities" if all(0 <= item <= 1 for item in value.values()) else "raw"
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and "score" in item for item in value)
    ):
        return "boxes"
    return "text" if isinstance(value, str) else "number" if type(value) in (int, float) else "raw"


PLAIN = of_archive(None)
"""Of a model of which nothing is known."""
