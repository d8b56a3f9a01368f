"""Runs the handler of an unpacked .mar on whole batches, whatever kind of handler it is.

Called by the worker process that holds the model. A handler with `predict(inputs)` gets arrays of all requests at
once; one in TorchServe's own style (`handle(data, context)`) gets one row for each request.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from serving_runtime.protocol.tensors import NUMBERS, Tensor

RESULT = "result"
_DTYPES = {name: np.dtype(name.lower().replace("fp", "float")) for name in NUMBERS}
_DATATYPES = {dtype: name for name, dtype in _DTYPES.items()}

Handle = Callable[[Any, Any], Any]


class BadAnswer(Exception):
    """The handler returned something that is no answer to its batch."""


class HandlerAdapter:
    """One loaded handler. Errors of `predict` are the handler's own, or BadAnswer."""

    def __init__(self, *, predict: Callable[..., Any] | None, handle: Handle, context: Any) -> None:
        self._predict = predict
        self._handle = handle
        self._context = context
        self.parameters = _parameters(predict)

    def predict(self, inputs: Sequence[Tensor], parameters: Mapping[str, Any]) -> list[Tensor]:
        """Run one batch: every input has the same first dimension, and so has every output.

        `parameters` of the request, each one of `self.parameters`.
        """
        rows = inputs[0].shape[0]
        if self._predict is None:
            return [self._handled(inputs[0], rows)]
        arrays = {tensor.name: _array(tensor) for tensor in inputs}
        outputs = self._predict(arrays, **parameters) if parameters else self._predict(arrays)
        if not isinstance(outputs, dict):
            raise BadAnswer(f"predict returned {type(outputs).__name__} instead of a dict of arrays")
        return [_tensor(name, value, rows) for name, value in outputs.items()]

    def _handled(self, bodies: Tensor, rows: int) -> Tensor:
        assert isinstance(bodies.data, list)
        answers = self._handle([{"body": _body(item)} for item in bodies.data], self._context)
        if not isinstance(answers, list) or len(answers) != rows:
            found = f"{len(answers)}" if isinstance(answers, list) else type(answers).__name__
            raise BadAnswer(f"handle returned {found} instead of a list of {rows}")
        return Tensor(RESULT, "BYTES", (rows,), [_encoded(answer) for answer in answers])


def load(directory: Path, handler: str, context: Any, *, has_spec: bool) -> HandlerAdapter:
    """Import and initialize the archive's handler; raises whatever it raises, and LookupError for a wrong name.

    `handler` is the manifest's: `file.py`, `file.py:function`, or the name of one of TorchServe's own handlers.
    """
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
    name, _, function = handler.partition(":")
    module = _module(name.rsplit("/", 1)[-1].removesuffix(".py"))
    entry = getattr(module, function or "handle", None)
    if callable(entry):
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
    instance.initialize(context)
    predict = getattr(instance, "predict", None) if has_spec else None
    if not has_spec and not hasattr(instance, "handle"):
        raise LookupError(f"the class {classes[0].__name__} of {name} has no method handle(data, context)")
    return _adapter(predict, getattr(instance, "handle", _no_handle), context, has_spec)


def _adapter(predict: Any, handle: Handle, context: Any, has_spec: bool) -> HandlerAdapter:
    if has_spec and not callable(predict):
        raise LookupError("the archive has a model.yaml, but its handler has no method predict(inputs)")
    return HandlerAdapter(predict=predict, handle=handle, context=context)


def _parameters(predict: Callable[..., Any] | None) -> frozenset[str]:
    """The request parameters that a handler takes: the keyword-only arguments of its `predict`."""
    if predict is None:
        return frozenset()
    found = inspect.signature(predict).parameters.values()
    return frozenset(each.name for each in found if each.kind is each.KEYWORD_ONLY)


def _no_handle(_data: Any, _context: Any) -> Any:
    raise BadAnswer("the handler has no method handle(data, context)")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise _explained(error) from error
    try:
        return importlib.import_module(f"ts.torch_handler.{name}")
    except ModuleNotFoundError as error:
        raise _explained(error) from error


def _explained(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The same error; when TorchServe is what is missing, with what to do."""
    if error.name is None or error.name.partition(".")[0] != "ts":
        return error
    return ModuleNotFoundError(
        "the handler needs TorchServe's Python package, which is not installed here: "
        "deploy it with runtime torchserve, or use an image that has the package torchserve",
        name=error.name,
    )


def _array(tensor: Tensor) -> Any:
    if isinstance(tensor.data, list):
        elements = np.empty(len(tensor.data), dtype=object)
        elements[:] = tensor.data
        return elements.reshape(tensor.shape)
    # A copy: handlers may write into their input, and torch warns about memory that it must not write to.
    return np.frombuffer(bytearray(tensor.data), _DTYPES[tensor.datatype]).reshape(tensor.shape)


def _tensor(name: str, value: Any, rows: int) -> Tensor:
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


def _body(element: bytes) -> Any:
    """What TorchServe hands its handlers: JSON already read, everything else as bytes."""
    if element[:1] in (b"{", b"["):
        try:
            return json.loads(element)
        except ValueError:
            pass
    return bytearray(element)
