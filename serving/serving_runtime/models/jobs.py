"""One request of a batch until it is answered, and how the answers of a batch come to its requests."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from serving_runtime.errors import HandlerStatus, InvalidRequest, ModelFailed, QueueFull, ServingError
from serving_runtime.protocol import frames, handler_headers
from serving_runtime.protocol.handler_headers import Returned
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.protocol.tensors import Tensor


class Answer(NamedTuple):
    """The outputs of one request, and what the handler adds to its response."""

    outputs: list[Tensor]
    returned: Returned | None = None


class Job:
    """One request until it is answered."""

    __slots__ = ("answer", "number", "request", "size", "timer")

    def __init__(self, number: int, request: InferRequest, answer: "asyncio.Future[Answer]") -> None:
        self.number = number
        self.request = request
        self.answer = answer
        self.size = sum(map(frames.size_of, request.inputs))
        self.timer: asyncio.TimerHandle | None = None


def deliver(batch: list[Job], body: bytes, on_metrics: Callable[[object], None]) -> list[Job]:
    """Answer each request of a batch; those that are to be sent again.

    `on_metrics` gets what the handler reports as metrics of its own, if anything.
    """
    header, outputs = frames.decode(body)
    if found := header.get("metrics"):
        on_metrics(found)
    errors = header.get("errors") or {}
    returned = header.get("returned") or {}
    good = [(index, job) for index, job in enumerate(batch) if str(index) not in errors]
    if good:
        pieces = frames.split_requests(outputs, [job.request.rows for _, job in good])
        for (index, job), piece in zip(good, pieces, strict=True):
            _finish(job, piece, returned.get(str(index)) if returned else None)
    again = []
    for index, error in errors.items():
        job = batch[int(index)]
        if error["kind"] == "again" and len(batch) > 1:
            if not job.answer.done():
                again.append(job)
        else:
            fail(job, _error(error, returned.get(index) or {}))
    return again


def fail(job: Job, error: ServingError) -> None:
    """Answer a request with an error."""
    if job.timer is not None:
        job.timer.cancel()
    if not job.answer.done():
        job.answer.set_exception(error)


def full(count: int) -> QueueFull:
    """Why a request is rejected while so many wait."""
    return QueueFull(f"{count} requests are waiting for the model already; try again later")


def header_of(batch: Sequence[Job]) -> dict[str, Any]:
    """What the worker is told of a batch beside its tensors."""
    header: dict[str, Any] = {"rows": [job.request.rows for job in batch]}
    if parameters := batch[0].request.parameters:
        header["parameters"] = dict(parameters)
    if batch[0].request.headers is not None:  # the handler asks for them
        header["headers"] = [job.request.headers for job in batch]
    # Also for the lines that the handler writes meanwhile.
    if "headers" in header or any(job.request.id for job in batch):
        header["ids"] = [job.request.id for job in batch]
    return header


def key_of(request: InferRequest) -> tuple[object, ...]:
    """Requests with the same key can share a batch."""
    shown = repr(request.parameters) if request.parameters else ""  # 1 and True are equal, but not the same
    return (
        shown,
        *((tensor.datatype, tensor.shape[1:]) for tensor in request.inputs),
    )


def _finish(job: Job, outputs: list[Tensor], returned: Mapping[str, Any] | None) -> None:
    try:
        answer = Answer(outputs, None if returned is None else handler_headers.read(returned))
    except ValueError as error:
        fail(job, ModelFailed(str(error)))
        return
    if job.timer is not None:
        job.timer.cancel()
    if not job.answer.done():
        job.answer.set_result(answer)


def _error(found: Mapping[str, Any], returned: Mapping[str, Any]) -> ServingError:
    text = str(found["text"])
    match found["kind"]:
        case "input":
            return InvalidRequest(text)
        case "status" if type(found["status"]) is int and 400 <= found["status"] <= 599:
            return HandlerStatus(text, found["status"], handler_headers.read(returned).headers)
    return ModelFailed(text)
