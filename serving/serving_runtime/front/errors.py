"""The errors that only HTTP has, and the status of every error."""

from collections.abc import Mapping

from serving_runtime.contracts import ErrorCode
from serving_runtime.errors import HandlerStatus, ServingError

STATUS: Mapping[ErrorCode, int] = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_OFFERED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.WRONG_METHOD: 405,
    ErrorCode.SLOW_BODY: 408,
    ErrorCode.BODY_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_ENCODING: 415,
    ErrorCode.INTERNAL: 500,
    ErrorCode.MODEL_FAILED: 502,
    ErrorCode.HANDLER_STATUS: 502,  # each has its own, see `status_of`
    ErrorCode.NOT_READY: 503,
    ErrorCode.QUEUE_FULL: 503,
    ErrorCode.WORKER_FAILED: 503,
    ErrorCode.DEADLINE_EXCEEDED: 504,
}


def status_of(error: ServingError) -> int:
    """The HTTP status of an error."""
    return error.status if isinstance(error, HandlerStatus) else STATUS[error.code]


class WrongMethod(ServingError):
    code = ErrorCode.WRONG_METHOD

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this address takes {allowed} only")
        self.allowed = allowed


class SlowBody(ServingError):
    """The body did not arrive in time."""

    code = ErrorCode.SLOW_BODY


class BodyTooLarge(ServingError):
    code = ErrorCode.BODY_TOO_LARGE


class UnsupportedEncoding(ServingError):
    code = ErrorCode.UNSUPPORTED_ENCODING
