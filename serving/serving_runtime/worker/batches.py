"""One frame in, one frame out: what a model's worker does with a batch, whichever runtime the worker belongs to."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from serving_runtime.protocol import frames
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.worker import handlers, output, row_answers, torchserve_handlers
from serving_runtime.worker.context import Asked, Context, RowContext, of_archive

_LONGEST_REASON = 1000
# The front sends the request once more, in another batch.
_AGAIN = {"kind": "again", "text": ""}

Error = dict[str, Any]


def load(directory: Path, manifest: dict[str, Any]) -> tuple[handlers.HandlerAdapter | None, str]:
    """Load the handler of an unpacked archive: the model, or None and the reason. Raises nothing that it may raise."""
    context: Context | None = None
    try:
        context = of_archive(directory, manifest)
        has_spec = (directory / "model.yaml").is_file()
        return handlers.load(directory, manifest["model"]["handler"], context, has_spec=has_spec), ""
    except BaseException as error:
        output.write_traceback(error)
        return None, (context and context.unservable) or reason(error)


def rejection(load_error: str) -> list[bytes]:
    """The answer of a worker that could not load its model."""
    return frames.encode({"load_error": load_error}, [])


def run_batch(model: handlers.HandlerAdapter, frame: bytes | bytearray | memoryview) -> list[bytes]:
    """Run the batch in `frame` and return the parts of the answer's frame. Raises frames.BrokenFrame.

    A batch that fails is run again one request at a time, so that a bad one never fails its mates. A header with
    `describe` asks what the handler takes: request parameters, and the ids and headers of requests.
    """
    header, inputs = frames.decode(frame)
    output.answering(header.get("ids") or ())
    asked = _asked(header, model.takes_context)
    answers = _answered(model, inputs, header.get("parameters") or {}, asked)
    reply: dict[str, Any] = {"errors": answers.errors}
    if answers.returned:
        reply["returned"] = answers.returned
    if model.recorder:
        reply["metrics"] = model.recorder.take()
    if header.get("describe"):
        if model.context.unservable:
            return rejection(model.context.unservable)
        reply["parameters"] = sorted(model.parameters)
        reply["context"] = model.takes_context
    return _encoded(reply, answers.outputs, header["rows"])


def reason(error: BaseException) -> str:
    """One line about an error, for people who read /status or an answer."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    # Half a surrogate pair cannot be written.
    text = text.encode("utf-8", "replace").decode() or "no message"
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return text[:_LONGEST_REASON]
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


class _Answers(NamedTuple):
    """The outputs of all requests that could be answered, joined; the errors of the others, by index.

    `returned` is what the handler has said of answers beside the outputs, by index.
    """

    outputs: list[Tensor]
    errors: Mapping[str, Error] = {}
    returned: Mapping[str, dict[str, Any]] = {}


def _asked(header: Mapping[str, Any], takes_context: bool) -> list[Asked]:
    rows = header["rows"]
    if not takes_context:
        return [Asked(count) for count in rows]
    ids = header.get("ids") or [None] * len(rows)
    headers = header.get("headers") or [{}] * len(rows)
    return [Asked(*one) for one in zip(rows, ids, headers, strict=True)]


def _answered(
    model: handlers.HandlerAdapter, inputs: list[Tensor], parameters: dict[str, Any], asked: Sequence[Asked]
) -> _Answers:
    try:
        return _run(model, inputs, parameters, asked)
    except BaseException as error:  # sys.exit() of a handler is no reason to lose the worker
        if len(asked) == 1:
            return _Answers([], {"0": _described(error)})
    errors: dict[str, Error] = {}
    returned: dict[str, dict[str, Any]] = {}
    answered: list[list[Tensor]] = []
    for index, piece in enumerate(frames.split_requests(inputs, [one.rows for one in asked])):
        one = _answered(model, piece, parameters, asked[index : index + 1])
        if one.errors:
            errors[str(index)] = one.errors["0"]
        elif answered and not _join(answered[0], one.outputs):
            errors[str(index)] = _AGAIN
        else:
            answered.append(one.outputs)
        if one.returned:
            returned[str(index)] = one.returned["0"]
    return _Answers(frames.join_requests(answered), errors, returned)


def _run(
    model: handlers.HandlerAdapter,
    inputs: Sequence[Tensor],
    parameters: dict[str, Any],
    asked: Sequence[Asked],
) -> _Answers:
    outputs = model.predict(inputs, parameters, asked)
    touched = model.context.touched
    if not touched:
        return _Answers(outputs)
    return _with_said(outputs, asked, touched)


def _with_said(outputs: list[Tensor], asked: Sequence[Asked], touched: Sequence[RowContext]) -> _Answers:
    """The outputs of those requests for which the handler has set no error."""
    errors: dict[str, Error] = {}
    returned: dict[str, dict[str, Any]] = {}
    # An element for each row, or nothing could be said of whose it is.
    only = outputs[0] if len(outputs) == 1 and len(outputs[0].shape) == 1 else None
    texts = only.data if only is not None and isinstance(only.data, list) else None
    start = 0
    for index, one in enumerate(asked):
        end = start + one.rows
        said = row_answers.of_request(touched[start:end], None if texts is None else texts[start:end])
        if said.error is not None:
            errors[str(index)] = said.error
        if said.returned:
            returned[str(index)] = said.returned
        start = end
    if errors:
        pieces = enumerate(frames.split_requests(outputs, [one.rows for one in asked]))
        outputs = frames.join_requests([each for at, each in pieces if str(at) not in errors])
    return _Answers(outputs, errors, returned)


def _join(some: list[Tensor], others: list[Tensor]) -> bool:
    """Whether the answers of two requests fit into one frame."""
    kinds = [[(each.name, each.datatype, each.shape[1:]) for each in one] for one in (some, others)]
    return kinds[0] == kinds[1]


def _encoded(reply: dict[str, Any], outputs: list[Tensor], rows: Sequence[int]) -> list[bytes]:
    """The answer's frame, with answers left out that are too long for it."""
    try:
        parts = frames.encode(reply, outputs)
    except (TypeError, ValueError) as error:
        text = f"the handler's answer cannot be written: {error}"[:_LONGEST_REASON]
        errors = {str(index): {"kind": "model", "text": text} for index in range(len(rows))}
        return frames.encode({**reply, "errors": errors, "returned": {}}, [])
    if sum(map(len, parts)) <= frames.MAX_ANSWER_BYTES:
        return parts
    return _shortened(reply, outputs, rows)


def _shortened(reply: dict[str, Any], outputs: list[Tensor], rows: Sequence[int]) -> list[bytes]:
    """What fits into a frame. A request that is too long alone fails; the others are to be sent again."""
    errors = reply["errors"] = {**reply["errors"]}
    left = [index for index in range(len(rows)) if str(index) not in errors]
    room, kept = frames.MAX_ANSWER_BYTES, []
    for index, piece in zip(left, frames.split_requests(outputs, [rows[at] for at in left]), strict=True):
        size = sum(map(frames.size_of, piece))
        if size > frames.MAX_ANSWER_BYTES:
            text = f"the answer has {size:,} bytes, at most {frames.MAX_ANSWER_BYTES:,} are taken: ask with fewer rows"
            errors[str(index)] = {"kind": "model", "text": text}
        elif size > room:
            errors[str(index)] = _AGAIN
        else:
            room -= size
            kept.append(piece)
    return frames.encode(reply, frames.join_requests(kept))


def _described(error: BaseException) -> Error:
    ts = sys.modules.get("ts.utils.util")
    if ts is not None and isinstance(error, ts.PredictionException):
        return row_answers.of_status(error.error_code, str(error.message))
    if (text := torchserve_handlers.unreadable_image(error)) is not None:
        return {"kind": "input", "text": text}
    output.write_traceback(error)
    # By convention of the handlers, ValueError says that the request's data are bad. A text that cannot be encoded is
    # the handler's own.
    is_input = isinstance(error, ValueError) and not isinstance(error, UnicodeEncodeError)
    return {"kind": "input" if is_input else "model", "text": reason(error)}
