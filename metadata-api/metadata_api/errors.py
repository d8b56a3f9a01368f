"""What can go wrong, as exceptions that know their HTTP status and their stable code.

MarinaError
├── Invalid            400 the request can be read but not accepted
├── Unauthenticated    401 no credential, or one that proves nothing
├── Forbidden          403 a caller who may not do this
├── NotFound           404 a name or number that does not exist
├── Conflict           409 the state of the system forbids it now
├── TooLarge           413 more bytes or pixels than allowed
├── UnsupportedMedia   415 a format that is not read here
├── BadAnswer          502 a model answered something that cannot be passed on
├── Unavailable        503 a part that we need is away; comes with Retry-After
├── DeadlineExceeded   504 a model did not answer in time
└── OutOfSpace         507 the disk is full

421, and 403 for requests that are meant for another host or come from another site, are answered by `host_guard`.

Raised by the domain functions, turned into `{"error": code, "detail": text}` by `create_app`, under /v2 into
`{"error": text, "code": code}`.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


class MarinaError(Exception):
    """Base of every error that a caller may see; `detail` says what to do about it."""

    status = 500

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.more: dict[str, Any] = {}
        """What the body says beside both, where a route documents it."""


class Invalid(MarinaError):
    """The request can be read but not accepted."""

    status = 400


class Unauthenticated(MarinaError):
    """No credential, or one that proves nothing; the answer carries WWW-Authenticate."""

    status = 401


class Forbidden(MarinaError):
    """A caller who may not do this."""

    status = 403


class NotFound(MarinaError):
    """A name or number that does not exist."""

    status = 404


class Conflict(MarinaError):
    """The state of the system forbids it now."""

    status = 409


class TooLarge(MarinaError):
    """More bytes or pixels than allowed."""

    status = 413


class UnsupportedMedia(MarinaError):
    """A format that is not read here."""

    status = 415


class Unavailable(MarinaError):
    """A part that we need is away; the answer carries Retry-After."""

    status = 503


class BadAnswer(MarinaError):
    """A model answered something that cannot be passed on."""

    status = 502


class DeadlineExceeded(MarinaError):
    """A model did not answer in time."""

    status = 504


class OutOfSpace(MarinaError):
    """The disk is full; nothing was stored."""

    status = 507


class ErrorBody(BaseModel):
    """Body of every answer of 400 and above, outside /v2."""

    error: str
    detail: str


def body_of(scope: Mapping[str, Any], code: str, detail: str) -> dict[str, str]:
    """An error as it is written for the address of an ASGI scope."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return {"error": detail, "code": code} if path.startswith("/v2/") else {"error": code, "detail": detail}


DESCRIPTIONS = {
    400: "The request can be read but not accepted.",
    401: "No credential, or one that is unknown, expired or revoked.",
    403: "The caller's role is too low, or the request was sent by a page of another site.",
    404: "No such thing.",
    409: "The state of the system forbids it now.",
    413: "More bytes or pixels than allowed.",
    415: "A format that is not read here.",
    421: "Meant for a host that this server does not answer to.",
    422: "A field is missing, unknown or of the wrong kind.",
    502: "A model answered something that cannot be passed on.",
    503: "A part of the system is away; Retry-After says when to try again.",
    504: "A model did not answer in time.",
    507: "The disk is full; nothing was stored.",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: each status with the error body, and those that any route may give."""
    every = (401, 403, *statuses, 422, 503)
    return {code: {"model": ErrorBody, "description": DESCRIPTIONS[code]} for code in every}
