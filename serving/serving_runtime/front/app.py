"""The v2 front as a raw ASGI application: no framework between the server and the batch.

GET  /v2  /v2/health/live  /v2/health/ready  /status  /metrics  /openapi.json
GET  /v2/models/NAME[/versions/VERSION][/ready|/config|/stats]  /v2/models/stats
POST /v2/models/NAME[/versions/VERSION]/infer
POST /v2/repository/index
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

import orjson
import yaml

from serving_runtime.errors import (
    InvalidRequest,
    NotOffered,
    Rejected,
    ServingError,
    SlowBody,
    Unavailable,
    UnknownModel,
    UnsupportedEncoding,
    WrongMethod,
)
from serving_runtime.front import compression, documents, images
from serving_runtime.front.body import Disconnected, Receive, Scope, header, read_body, size_header
from serving_runtime.hosts import AllowedHosts
from serving_runtime.models.metrics import CONTENT_TYPE, Metrics
from serving_runtime.models.registry import Models
from serving_runtime.models.source import ModelSource
from serving_runtime.models.version import Version
from serving_runtime.protocol import binary, json_body, rest
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.protocol.tensors import Tensor
from serving_runtime.settings import Settings

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_JSON: tuple[Header, ...] = ((b"content-type", b"application/json"),)
_TEXT: tuple[Header, ...] = ((b"content-type", CONTENT_TYPE.encode()),)
_BINARY: Header = (b"content-type", b"application/octet-stream")
_BINARY_SIZE = binary.HEADER.lower().encode()
_LARGE = 64 * 1024  # packing more than this takes long enough to leave the event loop


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: tuple[Header, ...] = _JSON
    packable: bool = False
    """Whether a client that says so in Accept-Encoding can read it packed.

    Not true for metadata and errors: tritonclient's asyncio client says so with each call, and then does not unpack.
    """


class App:
    def __init__(self, settings: Settings, models: Models, metrics: Metrics, source: ModelSource) -> None:
        self._settings = settings
        self._hosts = AllowedHosts(settings.allowed_hosts, "SERVING_ALLOWED_HOSTS")
        self._models = models
        self._metrics = metrics
        self._source = source
        self._openapi = orjson.dumps(yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_bytes()))
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if rejection := self._hosts.rejection(scope):
                raise Rejected(rejection.status, rejection.detail)
            parts = _path(scope)
            if parts[-1] == "infer" and parts[:2] == ["v2", "models"] and len(parts) > 3:
                answer = await self._infer(scope, receive, parts)
            elif parts[:2] == ["v2", "repository"]:
                answer = await self._repository(scope, receive, parts[2:])
            else:
                answer = self._get(scope, parts)
        except ServingError as error:
            answer = Answer(error.status, rest.encode_error(str(error)), (*_JSON, *_headers_of(error)))
        except Disconnected:
            return
        status, body, headers, packable = answer
        if packable and len(body) >= compression.SMALLEST:
            body, headers = await _packed(scope, body, headers)
        size = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, size]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _infer(self, scope: Scope, receive: Receive, parts: list[str]) -> Answer:
        model = version_number = ""
        code = 500
        try:
            name, requested_version = _model_path(parts[2:-1])
            if scope["method"] != "POST":
                raise WrongMethod("POST")
            version = self._models.find(name, requested_version)
            model, version_number = version.entry.name, version.entry.version
            json_size = size_header(scope, binary.HEADER)
            body = await read_body(scope, receive, self._settings.max_body_bytes)
            version = self._models.find(name, requested_version)  # another may have taken its place meanwhile
            version_number = version.entry.version
            answer = await _infer(version, body, json_size)
            code = 200
            return answer
        except ServingError as error:
            code = error.status
            raise
        except Disconnected:
            code = 499
            raise
        finally:
            self._metrics.count(model, version_number, code)

    async def _repository(self, scope: Scope, receive: Receive, parts: list[str]) -> Answer:
        match parts:
            case ["index"]:
                if scope["method"] != "POST":
                    raise WrongMethod("POST")
                body = await read_body(scope, receive, self._settings.max_body_bytes)
                only_ready = _only_ready(body)
                return _json(documents.repository_index(self._models.status(), only_ready=only_ready))
            case ["models", name, "load" | "unload"] if name:
                if scope["method"] != "POST":
                    raise WrongMethod("POST")
                raise NotOffered(
                    "models are not loaded or unloaded here: change what this server shall serve, "
                    "with the deployments of the metadata API or in its models file"
                )
        raise _nothing_at(scope)

    def _get(self, scope: Scope, parts: list[str]) -> Answer:
        answer = self._route(parts)
        if answer is None:
            raise _nothing_at(scope)
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod("GET")
        return answer()

    def _route(self, parts: list[str]) -> Callable[[], Answer] | None:
        match parts:
            case ["v2"]:
                return lambda: _json(documents.server())
            case ["v2", "health", "live"]:
                return lambda: _json({"live": True})
            case ["v2", "health", "ready"]:
                return self._server_ready
            # A model that is called stats is still found under its version.
            case ["v2", "models", "stats"]:
                return lambda: _json(documents.statistics(self._models.live))
            case ["v2", "models", *rest] if rest:
                return self._model_route(rest)
            case ["status"]:
                return lambda: _json({"models": self._models.status(), "problem": self._source.problem})
            case ["metrics"]:
                return self._show_metrics
            case ["openapi.json"]:
                return lambda: Answer(200, self._openapi, packable=True)
        return None

    def _model_route(self, rest: list[str]) -> Callable[[], Answer]:
        what = rest[-1] if len(rest) > 1 and rest[-1] in ("ready", "config", "stats") else ""
        name, version = _model_path(rest[:-1] if what else rest)
        match what:
            case "ready":
                return lambda: self._model_ready(name, version)
            case "config":
                largest = self._settings.max_batch
                return lambda: _json(documents.configuration(self._models.find(name, version), largest))
            case "stats":
                return lambda: _json(documents.statistics([self._models.find(name, version)]))
        return lambda: _json(documents.metadata(self._models.find(name, version)))

    def _server_ready(self) -> Answer:
        ready = self._models.ready and not self.stopping and self._source.problem is None
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

    def _show_metrics(self) -> Answer:
        for version in self._models.live:
            self._metrics.show(
                version.entry.name, version.entry.version, queued=version.batcher.waiting, ready=version.ready
            )
        return Answer(200, self._metrics.text(), _TEXT, packable=True)


async def _infer(version: Version, body: bytes, json_size: int | None) -> Answer:
    """Answer one complete body. Raises ServingError."""
    began = time.perf_counter()
    rows = 0
    try:
        if not version.ready:
            raise Unavailable(f"model {version.entry.name!r} is not ready: {version.reason}")
        version.batcher.admit()
        request = rest.decode_request(
            body, version.inputs, version.outputs, accepts=version.parameters, json_size=json_size
        )
        _check_images(version, request)
        outputs = await version.infer(request)
        answer = _encoded(version, request, outputs)
        rows = request.rows
    finally:
        version.metrics.counters.count(rows, began)
    version.metrics.seconds.observe(time.perf_counter() - began)
    return answer


def _check_images(version: Version, request: InferRequest) -> None:
    for tensor, spec in zip(request.inputs, version.inputs, strict=True):
        if tensor.datatype == "BYTES" and spec.datatype != "BYTES":
            for image in tensor.data:
                assert isinstance(image, bytes)
                images.check(spec.name, image)


def _encoded(version: Version, request: InferRequest, outputs: list[Tensor]) -> Answer:
    name, number = version.entry.name, version.entry.version
    in_binary = request.binary
    if request.parameters and request.binary_by_default:  # what the parameters ask for is not declared
        in_binary |= {tensor.name for tensor in outputs} - {spec.name for spec in version.outputs}
    if not any(tensor.name in in_binary for tensor in outputs):
        return Answer(200, rest.encode_response(name, number, request.id, outputs), packable=True)
    body, size = rest.encode_binary_response(name, number, request.id, outputs, in_binary)
    return Answer(200, body, (_BINARY, (_BINARY_SIZE, b"%d" % size)), packable=True)


def _path(scope: Scope) -> list[str]:
    """The elements of the address, each unquoted by itself: a quoted slash does not part a name in two."""
    raw: bytes = scope["raw_path"]
    elements = raw.strip(b"/").split(b"/")
    if b"%" in raw:
        elements = list(map(unquote_to_bytes, elements))
    return [element.decode(errors="replace") for element in elements]


def _model_path(parts: list[str]) -> tuple[str, str | None]:
    """`NAME` or `NAME/versions/VERSION`."""
    match parts:
        case [name] if name:
            return name, None
        case [name, "versions", version] if name and version:
            return name, version
    raise UnknownModel("the address is not /v2/models/NAME or /v2/models/NAME/versions/VERSION")


def _nothing_at(scope: Scope) -> UnknownModel:
    return UnknownModel(f"there is nothing at {scope['path'][:200]!r}; GET /openapi.json lists what there is")


def _only_ready(body: bytes) -> bool:
    """The filter of a repository index: an empty body, `{}` or `{"ready": true}`."""
    document = json_body.load(body) if body else {}
    json_body.reject_duplicate_keys(body, document)
    ready = document.get("ready", False)
    if type(ready) is not bool:
        raise InvalidRequest("`ready` must be true or false")
    return ready


async def _packed(scope: Scope, body: bytes, headers: tuple[Header, ...]) -> tuple[bytes, tuple[Header, ...]]:
    vary = (b"vary", b"accept-encoding")
    encoding = compression.chosen(header(scope, b"accept-encoding"))
    if encoding is None:
        return body, (*headers, vary)
    if len(body) > _LARGE:
        packed = await asyncio.to_thread(compression.packed, body, encoding)
    else:
        packed = compression.packed(body, encoding)
    return packed, (*headers, vary, (b"content-encoding", encoding.encode()))


def _json(document: object, status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(document))


def _headers_of(error: ServingError) -> list[Header]:
    if isinstance(error, Unavailable):
        return [(b"retry-after", b"1")]
    if isinstance(error, WrongMethod):
        return [(b"allow", error.allowed.encode())]
    if isinstance(error, UnsupportedEncoding):
        return [(b"accept-encoding", compression.ACCEPTED.encode())]
    if isinstance(error, SlowBody):
        return [(b"connection", b"close")]
    return []
