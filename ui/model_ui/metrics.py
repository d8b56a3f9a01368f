"""Figures for Prometheus: what visitors ask of the UI, and what the UI asks of the API; served on a port of its own."""

import re
import time
from threading import Thread
from wsgiref.simple_server import WSGIServer

import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from model_ui.asgi import App, Message, Receive, Scope, Send

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# The groups of addresses that there are; whatever clients invent is `other`.
_ROUTE = re.compile(r"/(?:(assets|static|gradio_api/run|login|logout|session|livez)(?:/.*)?)?")
_DISCONNECTED = 499


class Metrics:
    """One registry for each application, so that tests can run several in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "marina_ui_requests",
            "Requests that were answered, by group of addresses and HTTP status.",
            ("route", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "marina_ui_request_seconds",
            "From a request to the head of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._calls = Counter(
            "marina_ui_api_calls",
            "Calls of the metadata API, by HTTP status; `none` is no answer.",
            ("code",),
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "marina_ui_api_call_seconds",
            "From a call of the metadata API to the head of its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def serve(self, host: str, port: int) -> tuple[WSGIServer, Thread]:
        """Answer /metrics on a port of its own, in a thread, as long as this process lives. Raises OSError."""
        return start_http_server(port, host, self.registry)

    def count_request(self, path: str, code: int, seconds: float) -> None:
        """One request that was answered."""
        found = _ROUTE.fullmatch(path)
        route = f"/{found[1] or ''}" if found else "other"
        self._requests.labels(route, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_call(self, code: int | None, seconds: float) -> None:
        """One call of the API; None is no answer."""
        self._calls.labels(str(code or "none")).inc()
        self._call_seconds.observe(seconds)


class Measured:
    """The outermost ASGI layer: counts what is answered, also by the layers that let nothing through."""

    def __init__(self, app: App, metrics: Metrics, root_path: str) -> None:
        self._app = app
        self._metrics = metrics
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path, began = str(scope["path"]).removeprefix(self._root), time.perf_counter()
        status, seconds = _DISCONNECTED, 0.0

        async def sender(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
            await send(message)

        try:
            await self._app(scope, receive, sender)
        finally:
            self._metrics.count_request(path, status, seconds or time.perf_counter() - began)
        return None


class MeasuredTransport(httpx.AsyncBaseTransport):
    """The network, with every call counted and timed."""

    def __init__(self, inner: httpx.AsyncBaseTransport, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a call on. Raises httpx.TransportError."""
        began = time.perf_counter()
        code: int | None = None
        try:
            answer = await self._inner.handle_async_request(request)
            code = answer.status_code
            return answer
        finally:
            self._metrics.count_call(code, time.perf_counter() - began)

    async def aclose(self) -> None:
        await self._inner.aclose()
