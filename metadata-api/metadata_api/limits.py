"""ASGI guard around the API: how many bytes a request may carry and hold, and how long it may take to send them."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from fastapi import APIRouter, params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metadata_api.errors import Unavailable, body_of
from metadata_api.memory import SMALL_BYTES, Held, Memory, charge_soon, current
from metadata_api.settings import Max

SECONDS_TO_START = 10.0
SLOWEST_BYTES_PER_SECOND = 1024
_DECLARED = "max_body"
# Of a body in JSON: its text, and the objects that are made of it, twice.
JSON_COPIES = 24
# Of one that is passed on: its pieces, the whole, and what is sent.
LAYER_COPIES = 3

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])
MaxOf = Callable[[Max], int]


def max_body(largest: MaxOf, *, copies: int = 0) -> Callable[[Endpoint], Endpoint]:
    """Declare how many bytes the body of a route may have; a route that takes an upload has to.

    `copies` says how often the route holds it in memory; not at all is for one that writes it to a file.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, (largest, copies))
        return endpoint

    return declare


class Limit(NamedTuple):
    """The most bytes that a body may have, and how often the request holds it in memory."""

    size: int
    copies: int


class BodyLimits:
    """How many bytes a request may carry: what its route declares, else the most that JSON may have.

    `layers` are addresses below which no router stands, with theirs. Raises TypeError for a route that takes an upload
    and declares no limit.
    """

    def __init__(self, routers: Iterable[APIRouter], largest: Max, layers: Mapping[str, int]) -> None:
        self._json = Limit(largest.json_bytes, JSON_COPIES)
        self._layers = {f"{prefix}/": Limit(size, LAYER_COPIES) for prefix, size in layers.items()}
        self._declared: list[tuple[APIRoute, Limit]] = []
        for route in (one for router in routers for one in router.routes if isinstance(one, APIRoute)):
            declared: tuple[MaxOf, int] | None = getattr(route.endpoint, _DECLARED, None)
            if declared is not None:
                self._declared.append((route, Limit(declared[0](largest), declared[1])))
            elif _takes_an_upload(route):
                raise TypeError(f"{route.path} takes an upload: declare its limit by @max_body")

    def of(self, method: str, path: str) -> Limit:
        """The limit for a request."""
        for prefix, limit in self._layers.items():
            if path.startswith(prefix):
                return limit
        for route, limit in self._declared:
            if method in (route.methods or ()) and route.path_regex.match(path):
                return limit
        return self._json

    def is_passed_on(self, path: str) -> bool:
        """Whether the body belongs to a layer, which knows how to read it."""
        return path.startswith(tuple(self._layers))


class BodyRejected(HTTPException):
    """A body that is not read to its end.

    Not a MarinaError, because FastAPI turns any other exception while it reads a body into a 400 of its own.
    """

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail, {"Connection": "close"})
        self.code = code


class RequestGuard:
    """Rejects bodies over the limit of their path, bodies that trickle, and URLs that Postgres cannot hold.

    The limit counts while the body arrives, so neither a missing nor a lying Content-Length helps. What a request holds
    of `memory` is given back at its end.
    """

    def __init__(self, app: ASGIApp, *, limits: BodyLimits, memory: Memory, root_path: str) -> None:
        self.app = app
        self.limits = limits
        self.memory = memory
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400, 408 or 413."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            return await reject(
                scope, send, 400, "invalid_request", "The URL contains a NUL character. Remove it."
            )
        path = scope["path"].removeprefix(self.root_path)
        limit = self.limits.of(scope["method"], path)
        if not self.limits.is_passed_on(path) and (coding := _coding(scope)) not in ("", "identity"):
            detail = f"The body is compressed ({coding}), which is not read here. Send it without Content-Encoding."
            return await reject(scope, send, 400, "invalid_request", detail)
        if _declared(scope) > limit.size:
            return await reject(scope, send, 413, "body_too_large", _too_large(limit.size))
        held = Held(self.memory)
        token = current.set(held)
        try:
            await self.app(scope, _Counted(receive, limit), send)
        finally:
            current.reset(token)
            held.release()


class _Counted:
    """A receive channel that counts bytes, charges those that are held in memory, and watches the clock."""

    def __init__(self, receive: Receive, limit: Limit) -> None:
        self.receive = receive
        self.limit = limit
        self.seen = 0
        self.charged = 0
        self.start = time.monotonic()
        self.complete = False

    async def __call__(self) -> Message:
        if self.complete:
            return await self.receive()
        allowed = SECONDS_TO_START + self.seen / SLOWEST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + self.start + allowed - time.monotonic()
            ):
                message = await self.receive()
        except TimeoutError:
            raise BodyRejected(
                408, "body_too_slow", "The body did not arrive in time. Send it again."
            ) from None
        self.seen += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        if self.seen > self.limit.size:
            raise BodyRejected(413, "body_too_large", _too_large(self.limit.size))
        if self.seen - self.charged > SMALL_BYTES:
            await self._charge()
        return message

    async def _charge(self) -> None:
        size, self.charged = self.seen - self.charged, self.seen
        try:
            await charge_soon(size * self.limit.copies)
        except Unavailable as error:
            raise BodyRejected(error.status, error.code, error.detail) from None


def _takes_an_upload(route: APIRoute) -> bool:
    """Whether its body is a form, is described by hand, or may be read as it comes."""
    is_form = route.body_field is not None and isinstance(route.body_field.field_info, params.Form)
    reads = route.dependant.request_param_name is not None and bool(
        {"POST", "PUT", "PATCH"} & (route.methods or set())
    )
    return is_form or reads or "requestBody" in (route.openapi_extra or {})


def _declared(scope: Scope) -> int:
    for key, value in scope["headers"]:
        if key == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _coding(scope: Scope) -> str:
    """How the body is compressed, in printable letters."""
    for key, value in scope["headers"]:
        if key == b"content-encoding":
            return ascii(value.decode("latin-1").strip().lower()[:40])[1:-1]
    return ""


def _too_large(limit: int) -> str:
    return f"The body is over the limit of {limit:,} bytes for this address. Send less."


async def reject(
    scope: Scope,
    send: Send,
    status: int,
    code: str,
    detail: str,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer an error without reading the body; `more` are further headers."""
    body = json.dumps(body_of(scope, code, detail)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
