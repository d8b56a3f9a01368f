"""What can go wrong between a request and its response; nothing here knows HTTP, whose statuses are the front's.

ServingError
├── InvalidRequest    the request is wrong; the text says what to send instead
├── NotOffered        v2 has it, this server does not let clients do it
├── NotFound          no such model, version or address
├── ModelFailed       the model raised, or its answer is not what its model spec declares
├── HandlerStatus     the model's handler has given the request a status of its own
├── Unavailable       try again after a second: the version is not ready
│   ├── QueueFull     load shedding: too many requests wait for the model
│   └── WorkerFailed  the worker died or hung during the request, and is being replaced
└── DeadlineExceeded
"""

from collections.abc import Mapping
from typing import ClassVar

from serving_runtime.contracts import ErrorCode


class ServingError(Exception):
    """A request that is answered with an error: its text for people, and `code`, by which clients decide."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL


class InvalidRequest(ServingError):
    code = ErrorCode.INVALID_REQUEST


class NotOffered(ServingError):
    code = ErrorCode.NOT_OFFERED


class NotFound(ServingError):
    code = ErrorCode.NOT_FOUND


class ModelFailed(ServingError):
    code = ErrorCode.MODEL_FAILED


class HandlerStatus(ServingError):
    """`status` is from 400 to 599; `headers` are those of the handler, by name in lower case."""

    code = ErrorCode.HANDLER_STATUS

    def __init__(self, text: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Unavailable(ServingError):
    code = ErrorCode.NOT_READY


class QueueFull(Unavailable):
    code = ErrorCode.QUEUE_FULL


class WorkerFailed(Unavailable):
    code = ErrorCode.WORKER_FAILED


class DeadlineExceeded(ServingError):
    code = ErrorCode.DEADLINE_EXCEEDED


class LoadFailed(Exception):
    """A version cannot be served; the text is the reason that /status shows."""
