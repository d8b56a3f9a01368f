"""Runs the handler of an unpacked .mar on whole batches, whatever kind of handler it is.

Called by the worker process that holds the model. A handler with `predict(inputs)` gets arrays of all requests at
once; one in TorchServe's own style (`handle(data, context)`) gets one row for each request.
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serving_runtime.protocol.tensors import NUMBERS, Tensor
from serving_runtime.worker import handler_modules, torchserve_handlers
from serving_runtime.worker.context import Asked, Context

RESULT = "result"
_CONTEXT = "context"  # a keyword-only argument of this name gets TorchServe's context
# How the files of PNG, JPEG, GIF and WebP begin in base64.
_BASE64_IMAGES = (b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR")
_DTYPES = {name: np.dtype(name.lower().replace("fp", "float")) for name in NUMBERS}
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}

Handle = Callable[[Any, Any], Any]


class BadAnswer(Exception):
    """The handler returned something that is no answer to its batch."""


class HandlerAdapter:
    """One loaded handler. Errors of `predict` are the handler's own, or BadAnswer."""

    def __init__(self, *, predict: Callable[..., Any] | None, handle: Handle, context: Context) -> None:
        self._predict = predict
        self._handle = handle
        self.context = context
        self.recorder = context.metrics.recorder
        """What the handler reports as metrics of its own."""
        named = _keywords(predict)
        self.parameters = named - {_CONTEXT}
        """The request parameters that the handler takes."""
        self.takes_context = predict is None or _CONTEXT in named
        """Whether it asks for the ids and headers of the requests, which are sent to no other handler."""

    def predict(
        self, inputs: Sequence[Tensor], parameters: Mapping[str, Any], asked: Sequence[Asked]
    ) -> list[Tensor]:
        """Run one batch: every input has the same first dimension, and so has every output.

        `parameters` of the request, each one of `self.parameters`; `asked` is what the context tells of the batch.
        """
        rows = inputs[0].shape[0]
        self.context.begin(asked)
        if self._predict is None:
            return [self._handled(inputs[0], rows)]
        arrays = {tensor.name: _array(tensor) for tensor in inputs}
        if self.takes_context:
            outputs = self._predict(arrays, **parameters, context=self.context)
        else:
            outputs = self._predict(arrays, **parameters) if parameters else self._predict(arrays)
        if not isinstance(outputs, dict):
            raise BadAnswer(f"predict returned {type(outputs).__name__} instead of a dict of arrays")
        try:
            return [_tensor(name, value, rows) for name, value in outputs.items()]
        except (ValueError, TypeError, RuntimeError) as error:
            # A ValueError that the handler raises itself is the request's fault, this one is the handler's.
            raise BadAnswer(f"what predict returned cannot be read as arrays: {error}"[:300]) from None

    def _handled(self, bodies: Tensor, rows: int) -> Tensor:
        assert isinstance(bodies.data, list)
        most = self.context.most_rows or rows
        answers: list[bytes] = []
        for start in range(0, rows, most):
            if most < rows:  # a request has more rows than its archive wants in one call
                self.context.show(slice(start, start + most))
            answers += self._answers(bodies.data[start : start + most])
        return Tensor(RESULT, "BYTES", (rows,), answers)

    def _answers(self, bodies: Sequence[bytes]) -> list[bytes]:
        answers = self._handle([_row(item) for item in bodies], self.context)
        if not isinstance(answers, list) or len(answers) != len(bodies):
            found = f"{len(answers)}" if isinstance(answers, list) else type(answers).__name__
            raise BadAnswer(f"handle returned {found} instead of a list of {len(bodies)}")
        return [_encoded(answer) for answer in answers]


def load(directory: Path, handler: str, context: Context, *, has_spec: bool) -> HandlerAdapter:
    """Import and initialize the archive's handler; raises whatever it raises, and LookupError for a wrong name.

    `handler` is the manifest's: `file.py`, `file.py:function`, or the name of one of TorchServe's own handlers.
    """
    name, _, function = handler.partition(":")
    module = handler_modules.load(directory, name)
    entry = getattr(module, function or "handle", None)
    if callable(entry):
        _reject_unservable(directory, entry)
        entry(None, context)
        return _adapter(None, entry, context, has_spec)
    if function:
        raise LookupError(f"{name} has no function {function!r}")
    classes: list[Any] = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise LookupError(f"{name} must define one handler class, it defines {len(classes)}")
    instance = classes[0]()
    predict = getattr(instance, "predict", None) if has_spec else None
    if not has_spec and not hasattr(instance, "handle"):
        raise LookupError(f"the class {classes[0].__name__} of {name} has no method handle(data, context)")
    _reject_unservable(directory, predict or getattr(instance, "handle", None))
    torchserve_handlers.prepare(instance, context)
    instance.initialize(context)
    return _adapter(predict, getattr(instance, "handle", _no_handle), context, has_spec)


def _reject_unservable(directory: Path, entry: Any) -> None:
    """Raise LookupError for what would be ready and then fail every request."""
    if inspect.iscoroutinefunction(entry) or inspect.isasyncgenfunction(entry):
        raise LookupError(f"{entry.__name__} is `async def`, which handlers cannot be: write `def`")
    if inspect.isgeneratorfunction(entry):
        raise LookupError(
            f"{entry.__name__} yields its answers, but streamed answers are not offered: return them"
        )
    handler_modules.reject_streaming(directory)


def _adapter(predict: Any, handle: Handle, context: Context, has_spec: bool) -> HandlerAdapter:
    if has_spec and not callable(predict):
        raise LookupError("the archive has a model.yaml, but its handler has no method predict(inputs)")
    return HandlerAdapter(predict=predict, handle=handle, context=context)


def _keywords(predict: Callable[..., Any] | None) -> frozenset[str]:
    """What a handler's `predict` takes beside the inputs: its keyword-only arguments."""
    if predict is None:
        return frozenset()
    found = inspect.signature(predict).parameters.values()
    return frozenset(each.name for each in found if each.kind is each.KEYWORD_ONLY)


def _no_handle(_data: Any, _context: Any) -> Any:
    raise BadAnswer("the handler has no method handle(data, context)")


def _array(tensor: Tensor) -> Any:
    if isinstance(tensor.data, list):
        elements = np.empty(len(tensor.data), dtype=object)
        elements[:] = tensor.data
        return elements.reshape(tensor.shape)
    # A copy: handlers may write into their input, and torch warns about memory that it must not write to.
    return np.frombuffer(bytearray(tensor.data), _DTYPES[tensor.datatype]).reshape(tensor.shape)


def _tensor(name: Any, value: Any, rows: int) -> Tensor:
    if not isinstance(name, str):
        raise BadAnswer(f"an output is called {name!r:.80}: names are texts")
    array = np.asarray(value)
    if array.ndim == 0 or array.shape[0] != rows:
        raise BadAnswer(f"output {name!r} has shape {list(array.shape)} for a batch of {rows}")
    if array.dtype in _DATATYPES:
        return Tensor(name, _DATATYPES[array.dtype], array.shape, array.tobytes())
    if array.dtype.kind in "OSU":
        elements = [_encoded(item) for item in array.ravel().tolist()]
        return Tensor(name, "BYTES", array.shape, elements)
    raise BadAnswer(f"output {name!r} has the unknown type {array.dtype}")


def _encoded(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, str):
        return _utf8(value)
    tolist = getattr(value, "tolist", None)
    try:
        return json.dumps(tolist() if callable(tolist) else value, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BadAnswer(f"an answer cannot be written as JSON: {error}"[:300]) from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        # The model's fault, while a ValueError of a handler is that of the request.
        raise BadAnswer(f"an answer cannot be written as UTF-8: {error.reason}") from None


def _row(element: bytes) -> dict[str, Any]:
    """A row as TorchServe hands it to a handler: as `body` of a plain request, as `data` behind KServe."""
    body = _body(element)
    return {"data": body, "body": body}


def _body(element: bytes) -> Any:
    """JSON already read, an image in base64 as text, which TorchServe's handlers decode, and all else as bytes."""
    if element[:1] in (b"{", b"["):
        try:
            return json.loads(element)
        except (ValueError, RecursionError):
            pass
    if element.startswith(_BASE64_IMAGES) and element.isascii():
        return element.decode("ascii")
    return bytearray(element)
