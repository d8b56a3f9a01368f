"""The outermost ASGI layer of the API: counts requests and how long they took, also those rejected early."""

import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metadata_api.metrics import Metrics

# Methods and routes are labels: what clients invent must not become one.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_OTHER = "other"
_DISCONNECTED = 499
_MODEL = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?(/infer|/ready|/config|/stats)?")
_SERVER = ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats", "/v2/repository/index")


class Measured:
    """Counts the requests of an application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, root_path: str) -> None:
        self.app = app
        self.metrics = metrics
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it once its answer begins, or it is gone without one."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = time.perf_counter()
        status, seconds = _DISCONNECTED, 0.0

        async def sender(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
            await send(message)

        try:
            await self.app(scope, receive, sender)
        except Exception:
            status = 500 if status == _DISCONNECTED else status
            raise
        finally:
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            route = _route_of(scope, self.root_path)
            self.metrics.count_request(method, route, status, seconds or time.perf_counter() - began)


def _route_of(scope: Scope, root_path: str) -> str:
    """The address with its parameters unfilled; of all that lead nowhere, one word."""
    route = scope.get("route")
    if route is not None:
        return str(getattr(route, "path", _OTHER))
    path = str(scope["path"]).removeprefix(root_path).rstrip("/")
    if path in _SERVER:
        return path
    found = _MODEL.fullmatch(path)
    return f"/v2/models/{{name}}{found[1] or ''}" if found else _OTHER
