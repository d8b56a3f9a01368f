"""The addresses under /v2 as a plain ASGI layer: an inference costs little more here than at the server itself.

Model addresses are passed on as they came, with nothing of the response changed; those of the server are answered from
the route table. Errors are `{"error": text, "code": code}`, as at the front.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metadata_api.auth.access import Access
from metadata_api.auth.principal import STATE, principal_of
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import MarinaError, NotFound
from metadata_api.http_pool import HttpPool, Response
from metadata_api.limits import BodyRejected
from metadata_api.v2_proxy import server
from metadata_api.v2_proxy.forward import forward, request_headers
from metadata_api.v2_proxy.route_table import RouteTable
from serving_runtime.contracts import ErrorCode, Role
from serving_runtime.protocol import server as about

PREFIX = "/v2"
ACTIONS = ("infer", "ready", "config", "stats")
# It becomes part of an address inside.
_VERSION = re.compile("[0-9]{1,9}")
ACCESS = (
    Access("GET", "/v2", Role.VIEWER),
    Access("GET", "/v2/health/live", None),
    Access("GET", "/v2/health/ready", None),
    Access("GET", "/v2/models/{name}", Role.VIEWER),
    Access("GET", "/v2/models/{name}/ready", None),
    Access("GET", "/v2/models/{name}/config", Role.VIEWER),
    Access("GET", "/v2/models/{name}/stats", Role.VIEWER),
    Access("POST", "/v2/models/{name}/infer", Role.ANNOTATOR),
    Access("GET", "/v2/models/stats", Role.VIEWER),
    Access("POST", "/v2/repository/index", Role.VIEWER),
    Access("POST", "/v2/repository/models/{name}/load", Role.VIEWER),
    Access("POST", "/v2/repository/models/{name}/unload", Role.VIEWER),
)
"""The role that each address needs; those with `{name}` also with `/versions/{version}`."""
_HEALTH = re.compile(r"/v2/health/(live|ready)|/v2/models/[^/]+(/versions/[^/]+)?/ready")
JSON = {"content-type": "application/json"}
PART_BYTES = 256 * 1024

log = logging.getLogger(__name__)


class V2Proxy:
    """ASGI layer: answers what is below /v2 and passes everything else on."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        table: LiveTable[RouteTable],
        pool: HttpPool,
        serving_url: str,
        response_seconds: float,
        root_path: str,
    ) -> None:
        self._app = app
        self._table = table
        self._pool = pool
        self._serving_url = serving_url.rstrip("/")
        self._response_seconds = response_seconds
        self._by_name = "{name}" in serving_url
        self._root = root_path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request below /v2, whatever happens."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        parts = about.path_elements(scope["raw_path"].removeprefix(self._root))
        if parts[0] != "v2":
            return await self._app(scope, receive, send)
        try:
            response = await self._answer(scope, receive, parts[1:])
        except MarinaError as error:
            response = _error(error.status, error.code, error.detail, {})
        except ClientDisconnect:
            return None  # there is nobody to answer
        except BodyRejected as error:
            response = _error(error.status_code, error.code, str(error.detail), {"connection": "close"})
        except Exception as error:
            log.error("%s %.200a failed", scope["method"], scope["path"], exc_info=error)
            response = _error(500, ErrorCode.INTERNAL, "A fault of the metadata API; its log says more.", {})
        await _send(scope, send, response)
        return None

    async def _answer(self, scope: Scope, receive: Receive, parts: list[str]) -> Response:
        if STATE in scope["state"]:
            # Health is open to all; whoever comes here for anything else has a credential.
            principal_of(scope).require(Role.VIEWER)
        match parts:
            case ["models", "stats"]:
                return _checked(scope, "GET") or _json(await self._stats())
            case ["models", *address] if address:
                return await self._model(scope, receive, address)
            case ["repository", "models", name, "load" | "unload"] if name:
                return _checked(scope, "POST") or _error(403, ErrorCode.NOT_OFFERED, about.NOT_OFFERED, {})
            case ["repository", "index"]:
                if rejected := _checked(scope, "POST"):
                    return rejected
                only_ready = server.only_ready(await _body(receive))
                return _json(server.repository_index(await self._table.current(), only_ready=only_ready))
            case []:
                return _checked(scope, "GET") or _json(about.metadata())
            case ["health", "live"]:
                return _checked(scope, "GET") or _json({"live": True})
            case ["health", "ready"]:
                return _checked(scope, "GET") or await self._ready()
        raise NotFound("not_found", "There is nothing at this address of v2. See docs/conformance.md.")

    async def _model(self, scope: Scope, receive: Receive, parts: list[str]) -> Response:
        action = parts[-1] if len(parts) > 1 and parts[-1] in ACTIONS else ""
        name, version = _named(parts[:-1] if action else parts)
        if rejected := _checked(scope, "POST" if action == "infer" else "GET"):
            return rejected
        if action == "infer":
            principal_of(scope).require(Role.ANNOTATOR)
        headers = request_headers(scope["headers"])
        route = (await self._table.current()).find(name, version)
        if action == "infer":
            principal_of(scope).require_deployment(route.deployment)
        body = await _body(receive) if action == "infer" else b""
        if body:
            # Another deployment may have taken its place while the body arrived, and be none that the caller may ask.
            route = (await self._table.current()).find(name, version)
            principal_of(scope).require_deployment(route.deployment)
        return await forward(
            self._pool,
            self._base(route.deployment),
            route,
            action,
            headers,
            body,
            response_seconds=self._response_seconds,
        )

    async def _ready(self) -> Response:
        """Ready as the server itself is: every deployment that shall run answers in its version."""
        table = await self._table.current()
        ready = all(one.ready for one in table.deployments.values() if one.running)
        return _json({"ready": ready, "live": True}, 200 if ready else 503)

    async def _stats(self) -> dict[str, Any]:
        return await server.statistics(await self._table.current(), self._pool, self._base)

    def _base(self, deployment: str) -> str:
        return self._serving_url.replace("{name}", quote(deployment)) if self._by_name else self._serving_url


def is_health(path: str) -> bool:
    """Whether GET of an address of v2 says only that something is alive or ready: those are open to all."""
    return path.startswith(PREFIX) and _HEALTH.fullmatch(path) is not None


def _named(parts: list[str]) -> tuple[str, str]:
    """`NAME` or `NAME/versions/VERSION`; a name is looked up and never passed on itself."""
    match parts:
        case [name]:
            return name, ""
        case [name, "versions", version] if _VERSION.fullmatch(version):
            return name, version
    raise NotFound(
        "not_found", f"The address is not /v2/models/NAME[/versions/NUMBER][/{'|'.join(ACTIONS)}]."
    )


async def _body(receive: Receive) -> bytes:
    """The whole body; raises ClientDisconnect when its sender leaves before its end."""
    message = await _part(receive)
    if not message.get("more_body", False):
        return message.get("body", b"")  # type: ignore[no-any-return]
    pieces = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await _part(receive)
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


async def _part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


def _checked(scope: Scope, allowed: str) -> Response | None:
    """The response to a method that an address does not take; HEAD goes where GET goes."""
    if scope["method"] == allowed or (allowed == "GET" and scope["method"] == "HEAD"):
        return None
    return _error(405, ErrorCode.WRONG_METHOD, f"this address takes {allowed} only", {"allow": allowed})


def _json(document: object, status: int = 200) -> Response:
    return Response(status, JSON, orjson.dumps(document))


def _error(status: int, code: str, text: str, headers: Mapping[str, str]) -> Response:
    retry = {"retry-after": "1"} if status == 503 else {}
    return Response(status, {**JSON, **headers, **retry}, orjson.dumps({"error": text, "code": code}))


async def _send(scope: Scope, send: Send, response: Response) -> None:
    headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
    headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else response.body
    # Part by part where it is large, so that what this request holds is held until its client has read it.
    for start in range(0, len(body) - PART_BYTES, PART_BYTES):
        part = body[start : start + PART_BYTES]
        await send({"type": "http.response.body", "body": part, "more_body": True})
    rest = body[max(0, len(body) - 1) // PART_BYTES * PART_BYTES :]
    await send({"type": "http.response.body", "body": rest})
