"""What can go wrong between a request and its answer; each class is one HTTP status of the v2 front.

ServingError
├── InvalidRequest      400  the request is wrong; the text says what to send instead
├── NotOffered          403  v2 has it, this server does not let clients do it
├── UnknownModel        404  no such model, version or path
├── WrongMethod         405
├── SlowBody            408  the body did not arrive in time
├── BodyTooLarge        413
├── UnsupportedEncoding 415
├── Rejected            421 or 403  a host that is not ours, or a page of another site
├── ModelFailed         502  the model raised, or its answer is not what its model spec promises
├── Unavailable         503  not ready, queue full, worker died: try again after a second
└── DeadlineExceeded    504
"""


class ServingError(Exception):
    """A request that is answered with `status` and `{"error": text}`."""

    status = 500


class InvalidRequest(ServingError):
    status = 400


class NotOffered(ServingError):
    status = 403


class UnknownModel(ServingError):
    status = 404


class WrongMethod(ServingError):
    status = 405

    def __init__(self, allowed: str) -> None:
        super().__init__(f"this address takes {allowed} only")
        self.allowed = allowed


class SlowBody(ServingError):
    status = 408


class BodyTooLarge(ServingError):
    status = 413


class UnsupportedEncoding(ServingError):
    status = 415


class Rejected(ServingError):
    """Turned away before any work; see `hosts.AllowedHosts.rejection`."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ModelFailed(ServingError):
    status = 502


class Unavailable(ServingError):
    status = 503


class DeadlineExceeded(ServingError):
    status = 504


class LoadFailed(Exception):
    """A version cannot be served; the text is the reason that /status shows."""
