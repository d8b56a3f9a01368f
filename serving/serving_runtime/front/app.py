"""The v2 front as a raw ASGI application: no framework between the server and the batch.

GET  /v2  /v2/health/live  /v2/health/ready  /status  /metrics  /openapi.json
GET  /v2/models/NAME[/versions/VERSION][/ready|/config|/stats]  /v2/models/stats
POST /v2/models/NAME[/versions/VERSION]/infer
POST /v2/repository/index
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import yaml

from serving_runtime.errors import InvalidRequest, NotFound, NotOffered, ServingError
from serving_runtime.front import images
from serving_runtime.front.body import Disconnected, Receive, Scope, read_body, size_header
from serving_runtime.front.errors import WrongMethod, status_of
from serving_runtime.front.recording import Recorder
from serving_runtime.front.responses import (
    JSON,
    Header,
    Response,
    document,
    error_response,
    headers_of,
    packed,
    rejection_response,
)
from serving_runtime.front.tokens import Tokens
from serving_runtime.hosts import AllowedHosts
from serving_runtime.models.dataplane import DataPlane, Inference
from serving_runtime.models.metrics import CONTENT_TYPE, Metrics
from serving_runtime.models.version import Version
from serving_runtime.protocol import binary, handler_headers, json_body, rest
from serving_runtime.protocol import server as about
from serving_runtime.settings import Settings

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_TEXT: tuple[Header, ...] = ((b"content-type", CONTENT_TYPE.encode()),)
_NONE: tuple[Header, ...] = ()
_BINARY: Header = (b"content-type", b"application/octet-stream")
_BINARY_SIZE = binary.HEADER.lower().encode()
_DISCONNECTED = 499


class App:
    def __init__(
        self, settings: Settings, dataplane: DataPlane, metrics: Metrics, recorder: Recorder
    ) -> None:
        self._hosts = AllowedHosts(settings.allowed_hosts, "SERVING_ALLOWED_HOSTS")
        self._tokens = Tokens(settings.tokens_file) if settings.tokens_file is not None else None
        self._max_body_bytes = settings.max.body_bytes
        self._dataplane = dataplane
        self._metrics = metrics
        self._recorder = recorder
        self._openapi = orjson.dumps(yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_bytes()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(scope, receive)
        except ServingError as error:
            response = error_response(error)
        except Disconnected:
            return
        if response.packable:
            response = await packed(scope, response)
        status, body, headers, _ = response
        size = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, size]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        if rejection := self._hosts.rejection(scope):
            return rejection_response(rejection)
        parts = about.path_elements(scope["raw_path"])
        if self._tokens is not None and (rejection := self._tokens.rejection(scope, parts)):
            return rejection_response(rejection)
        if parts[-1] == "infer" and parts[:2] == ["v2", "models"] and len(parts) > 3:
            return await self._infer(scope, receive, parts)
        if parts[:2] == ["v2", "repository"]:
            return await self._repository(scope, receive, parts[2:])
        found = self._route(parts)
        if found is None:
            raise _nothing_at(scope)
        if scope["method"] not in ("GET", "HEAD"):
            raise WrongMethod("GET")
        return found()

    async def _infer(self, scope: Scope, receive: Receive, parts: list[str]) -> Response:
        version: Version | None = None
        status, rows, began = 500, 0, 0.0
        try:
            name, number = _model_path(parts[2:-1])
            _expect_post(scope)
            version = self._dataplane.find(name, number)
            json_size = size_header(scope, binary.HEADER)
            body = await read_body(scope, receive, self._max_body_bytes)
            version = self._dataplane.find(name, number)  # another may have taken its place meanwhile
            began = time.perf_counter()
            self._dataplane.admit(version)
            request = rest.decode_request(
                body,
                version.inputs,
                version.outputs,
                accepts=version.parameters,
                json_size=json_size,
                check_image=images.check,
            )
            if version.takes_context:
                request = replace(request, headers=handler_headers.given(scope["headers"]))
            response, answer_json_size = _encoded(await self._dataplane.infer(version, request))
            status, rows = 200, request.rows
            if self._recorder.rules:
                entry = version.entry
                return self._recorder.recorded(
                    entry.name, entry.version, body, json_size, began, response, answer_json_size
                )
            return response
        except ServingError as error:
            status = status_of(error)
            raise
        except Disconnected:
            status = _DISCONNECTED
            raise
        finally:
            self._metrics.count(None if version is None else version.metrics, status, rows, began)

    async def _repository(self, scope: Scope, receive: Receive, parts: list[str]) -> Response:
        match parts:
            case ["index"]:
                _expect_post(scope)
                only_ready = _only_ready(await read_body(scope, receive, self._max_body_bytes))
                return document(self._dataplane.index(only_ready=only_ready))
            case ["models", name, "load" | "unload"] if name:
                _expect_post(scope)
                raise NotOffered(about.NOT_OFFERED)
        raise _nothing_at(scope)

    def _route(self, parts: list[str]) -> Callable[[], Response] | None:
        match parts:
            case ["v2"]:
                return lambda: document(self._dataplane.server())
            case ["v2", "health", "live"]:
                return lambda: document({"live": True})
            case ["v2", "health", "ready"]:
                return self._server_ready
            # A model that is called stats is still found under its version.
            case ["v2", "models", "stats"]:
                return lambda: document(self._dataplane.all_statistics())
            case ["v2", "models", *rest_of_path] if rest_of_path:
                return self._model_route(rest_of_path)
            case ["status"]:
                return lambda: document(self._dataplane.status())
            case ["metrics"]:
                return lambda: Response(
                    200, self._metrics.text(self._dataplane.gauges()), _TEXT, packable=True
                )
            case ["openapi.json"]:
                return lambda: Response(200, self._openapi, packable=True)
        return None

    def _model_route(self, parts: list[str]) -> Callable[[], Response]:
        what = parts[-1] if len(parts) > 1 and parts[-1] in ("ready", "config", "stats") else ""
        name, number = _model_path(parts[:-1] if what else parts)
        match what:
            case "ready":
                return lambda: self._model_ready(name, number)
            case "config":
                return lambda: document(self._dataplane.configuration(name, number))
            case "stats":
                return lambda: document(self._dataplane.statistics(name, number))
        return lambda: document(self._dataplane.metadata(name, number))

    def _server_ready(self) -> Response:
        ready = self._dataplane.ready
        return document({"ready": ready, "live": True}, 200 if ready else 503)

    def _model_ready(self, name: str, number: str | None) -> Response:
        reason = self._dataplane.model_ready(name, number)
        if reason is None:
            return document({"name": name, "ready": True})
        state = self._dataplane.model_state(name)
        return document({"name": name, "ready": False, "error": reason, "state": state}, 503)


def _encoded(inference: Inference) -> tuple[Response, int | None]:
    """The response, and how much of its body is JSON; None for all."""
    entry, outputs, said = inference.version.entry, inference.outputs, inference.returned
    headers = _NONE if said is None else headers_of(said.headers)
    parameters = None if said is None else said.parameters
    if not any(tensor.name in inference.binary for tensor in outputs):
        body = rest.encode_response(entry.name, entry.version, inference.id, outputs, parameters)
        return Response(200, body, (*JSON, *headers), packable=True), None
    body, size = rest.encode_binary_response(
        entry.name, entry.version, inference.id, outputs, inference.binary, parameters
    )
    return Response(200, body, (_BINARY, (_BINARY_SIZE, b"%d" % size), *headers), packable=True), size


def _model_path(parts: list[str]) -> tuple[str, str | None]:
    """`NAME` or `NAME/versions/VERSION`."""
    match parts:
        case [name] if name:
            return name, None
        case [name, "versions", version] if name and version:
            return name, version
    raise NotFound("the address is not /v2/models/NAME or /v2/models/NAME/versions/VERSION")


def _expect_post(scope: Scope) -> None:
    if scope["method"] != "POST":
        raise WrongMethod("POST")


def _nothing_at(scope: Scope) -> NotFound:
    return NotFound(f"there is nothing at {scope['path'][:200]!r}; GET /openapi.json lists what there is")


def _only_ready(body: bytes) -> bool:
    """The filter of a repository index: an empty body, `{}` or `{"ready": true}`."""
    ready = json_body.load(body).get("ready", False) if body else False
    if type(ready) is not bool:
        raise InvalidRequest("`ready` must be true or false")
    return ready
