"""ASGI guard around the whole API: only our own hosts, only our own pages, and security headers on every answer."""

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metadata_api.limits import reject
from serving_runtime.hosts import SECURITY_HEADERS, AllowedHosts

_CSP = "content-security-policy"
# The pages of /docs run scripts of their own; all of it still comes from this server.
_CSP_OF_PAGES = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)


class HostGuard:
    """Rejects before any other work what is meant for another host or sent by a page of another site.

    `pages` are the paths of HTML pages; every other answer is data.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Iterable[str], pages: Iterable[str]) -> None:
        self.app = app
        self.hosts = AllowedHosts(allowed_hosts, "METADATA_API_ALLOWED_HOSTS")
        self.pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421 or 403."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        send = _with_headers(send, is_page=path in self.pages)
        if rejection := self.hosts.rejection(scope):
            return await reject(scope, send, *rejection)
        await self.app(scope, receive, send)


def _with_headers(send: Send, *, is_page: bool) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS:
                headers[name.decode()] = value.decode()
            if is_page and message["status"] == 200:
                headers[_CSP] = _CSP_OF_PAGES
        await send(message)

    return sender
