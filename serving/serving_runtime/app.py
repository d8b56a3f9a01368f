"""The v2 front as a raw ASGI application: no framework between the server and the batch.

GET  /v2  /v2/health/live  /v2/health/ready  /status  /metrics
GET  /v2/models/NAME[/versions/VERSION][/ready]
POST /v2/models/NAME[/versions/VERSION]/infer
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from serving_runtime import __version__, pictures, protocol
from serving_runtime.errors import (
    BodyTooLarge,
    ServingError,
    SlowBody,
    Unavailable,
    UnknownModel,
    UnsupportedEncoding,
    WrongMethod,
)
from serving_runtime.metrics import CONTENT_TYPE, Metrics
from serving_runtime.models import Models
from serving_runtime.settings import Settings
from serving_runtime.versions import Version
from serving_runtime.wanted import Wanted

BODY_SECONDS = 30.0  # a body that takes longer is somebody holding connections open
PLATFORM = "pytorch_torchserve"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, bytes]

_JSON = (b"content-type", b"application/json")
_RETRY = (b"retry-after", b"1")
_log = logging.getLogger(__name__)


class Disconnected(Exception):
    """The client left before its request was complete; there is nobody to answer."""


class App:
    def __init__(self, settings: Settings, models: Models, metrics: Metrics, wanted: Wanted) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._wanted = wanted
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        parts = scope["path"].strip("/").split("/")
        headers: list[tuple[bytes, bytes]] = [_JSON]
        try:
            if parts[-1] == "infer" and parts[:2] == ["v2", "models"]:
                status, body = await self._infer(scope, receive, parts)
            else:
                status, body = self._get(scope, parts)
                if parts == ["metrics"]:
                    headers = [(b"content-type", CONTENT_TYPE.encode())]
        except ServingError as error:
            status, body = error.status, protocol.encode_error(str(error))
            headers += _headers_of(error)
        except Disconnected:
            return
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _infer(self, scope: Scope, receive: Receive, parts: list[str]) -> Answer:
        model = version_number = ""
        code = 500
        try:
            name, wanted_version = _model_path(parts[2:-1])
            if scope["method"] != "POST":
                raise WrongMethod("POST")
            version = self._models.find(name, wanted_version)
            model, version_number = version.entry.name, version.entry.version
            body = await self._body(scope, receive)
            answer = await self._answer(version, body)
            code = 200
            return code, answer
        except ServingError as error:
            code = error.status
            raise
        except Disconnected:
            code = 499
            raise
        finally:
            self._metrics.count(model, version_number, code)

    async def _answer(self, version: Version, body: bytes) -> bytes:
        began = time.perf_counter()
        if not version.ready:
            raise Unavailable(f"model {version.entry.name!r} is not ready: {version.reason}")
        request = protocol.decode_request(body, version.inputs, version.outputs)
        for tensor, spec in zip(request.inputs, version.inputs, strict=True):
            if tensor.datatype == "BYTES" and spec.datatype != "BYTES":
                for picture in tensor.data:
                    assert isinstance(picture, bytes)
                    pictures.check(spec.name, picture)
        outputs = await version.infer(request)
        answer = protocol.encode_response(version.entry.name, version.entry.version, request.id, outputs)
        version.metrics.seconds.observe(time.perf_counter() - began)
        return answer

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > limit:
                raise BodyTooLarge(f"the body has {int(value)} bytes, at most {limit} are taken")
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise UnsupportedEncoding("send the body without Content-Encoding")
        chunks: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Disconnected
                    chunks.append(message.get("body", b""))
                    more = message.get("more_body", False)
                    size += len(chunks[-1])
                    if size > limit:
                        raise BodyTooLarge(f"the body has more than {limit} bytes")
        except TimeoutError:
            raise SlowBody(f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _get(self, scope: Scope, parts: list[str]) -> Answer:
        answer = self._route(parts)
        if answer is None:
            raise UnknownModel(f"there is nothing at {scope['path'][:200]!r}")
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod("GET")
        return answer()

    def _route(self, parts: list[str]) -> Callable[[], Answer] | None:
        match parts:
            case ["v2"]:
                return lambda: _json({"name": "marina", "version": __version__, "extensions": []})
            case ["v2", "health", "live"]:
                return lambda: _json({"live": True})
            case ["v2", "health", "ready"]:
                return self._server_ready
            case ["v2", "models", *rest] if rest[-1:] == ["ready"] and len(rest) > 1:
                return lambda: self._model_ready(*_model_path(rest[:-1]))
            case ["v2", "models", *rest] if rest:
                return lambda: self._metadata(*_model_path(rest))
            case ["status"]:
                return lambda: _json({"models": self._models.status(), "problem": self._wanted.problem})
            case ["metrics"]:
                return self._show_metrics
        return None

    def _server_ready(self) -> Answer:
        ready = self._models.ready and not self.stopping and self._wanted.problem is None
        return _json({"ready": ready, "live": True}, 200 if ready else 503)

    def _model_ready(self, name: str, version: str | None) -> Answer:
        try:
            found = self._models.find(name, version)
            ready, reason = found.ready and not self.stopping, found.reason
        except Unavailable as error:
            ready, reason = False, str(error)
        return (
            _json({"name": name, "ready": True})
            if ready
            else _json({"name": name, "ready": False, "error": reason or "not ready"}, 503)
        )

    def _metadata(self, name: str, version: str | None) -> Answer:
        found = self._models.find(name, version)
        return _json(
            {
                "name": found.entry.name,
                "versions": [found.entry.version],
                "platform": PLATFORM,
                "inputs": _described(found.inputs),
                "outputs": _described(found.outputs),
            }
        )

    def _show_metrics(self) -> Answer:
        for version in self._models.live:
            self._metrics.show(
                version.entry.name, version.entry.version, queued=version.batcher.waiting, ready=version.ready
            )
        return 200, self._metrics.text()


def _model_path(parts: list[str]) -> tuple[str, str | None]:
    """`NAME` or `NAME/versions/VERSION`."""
    match parts:
        case [name] if name:
            return name, None
        case [name, "versions", version] if name and version:
            return name, version
    raise UnknownModel("the address is not /v2/models/NAME or /v2/models/NAME/versions/VERSION")


def _described(specs: Iterable[Any]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": spec.shape} for spec in specs]


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return status, orjson.dumps(document)


def _headers_of(error: ServingError) -> list[tuple[bytes, bytes]]:
    if isinstance(error, Unavailable):
        return [_RETRY]
    if isinstance(error, WrongMethod):
        return [(b"allow", error.allowed.encode())]
    if isinstance(error, SlowBody):
        return [(b"connection", b"close")]
    return []
