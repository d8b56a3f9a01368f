"""One frame in, one frame out: what a model's worker does with a batch, whichever runtime the worker belongs to."""

from pathlib import Path
from typing import Any

from serving_runtime.protocol import frames
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.worker import handlers, output

_LONGEST_REASON = 1000


def load(
    directory: Path, handler: str, context: Any, *, has_spec: bool
) -> tuple[handlers.HandlerAdapter | None, str]:
    """Load the archive's handler; the model, or None and the reason. Raises nothing that a handler may raise."""
    try:
        return handlers.load(directory, handler, context, has_spec=has_spec), ""
    except (Exception, SystemExit) as error:
        output.write_traceback(error)
        return None, reason(error)


def rejection(load_error: str) -> list[bytes]:
    """The answer of a worker that could not load its model."""
    return frames.encode({"load_error": load_error}, [])


def run_batch(model: handlers.HandlerAdapter, frame: bytes | bytearray | memoryview) -> list[bytes]:
    """Run the batch in `frame` and return the parts of the answer's frame. Raises frames.BrokenFrame.

    A batch that fails is run again one request at a time, so that a bad one never fails its mates. A header with
    `describe` asks for the request parameters that the handler takes.
    """
    header, inputs = frames.decode(frame)
    output.answering(header.get("ids") or ())
    outputs, errors = _answers(model, header["rows"], inputs, header.get("parameters") or {})
    reply: dict[str, Any] = {"errors": errors}
    if header.get("describe"):
        reply["parameters"] = sorted(model.parameters)
    return frames.encode(reply, outputs)


def reason(error: BaseException) -> str:
    """One line about an error, for people who read /status or an answer."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return text[:_LONGEST_REASON]
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


def _answers(
    model: handlers.HandlerAdapter, rows: list[int], inputs: list[Tensor], parameters: dict[str, Any]
) -> tuple[list[Tensor], dict[str, dict[str, str]]]:
    """The outputs of all requests that could be answered, joined, and the errors of the others by index."""
    try:
        return model.predict(inputs, parameters), {}
    except Exception as error:
        if len(rows) == 1:
            return [], {"0": _described(error)}
    answered: list[list[Tensor]] = []
    errors: dict[str, dict[str, str]] = {}
    for index, piece in enumerate(frames.split_requests(inputs, rows)):
        try:
            answered.append(model.predict(piece, parameters))
        except Exception as error:
            errors[str(index)] = _described(error)
    return frames.join_requests(answered), errors


def _described(error: Exception) -> dict[str, str]:
    output.write_traceback(error)
    # By convention of the handlers, ValueError says that the request's data are bad.
    return {"kind": "input" if isinstance(error, ValueError) else "model", "text": reason(error)}
