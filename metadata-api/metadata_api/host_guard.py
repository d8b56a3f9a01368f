"""ASGI guard around the whole API: only our own hosts, and only our own pages.

The other security headers come from the connection (`serving_runtime.connection`), on every response.
"""

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metadata_api.limits import reject
from serving_runtime.hosts import AllowedHosts

# The pages of /docs run scripts of their own; all of it still comes from this server.
_POLICY_OF_PAGES = (
    b"content-security-policy",
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    b"frame-ancestors 'none'",
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
        if rejection := self.hosts.rejection(scope):
            return await reject(scope, send, *rejection)
        _without_slash(scope)
        if scope["path"].removeprefix(scope.get("root_path", "")) in self.pages:
            send = _with_policy(send)
        await self.app(scope, receive, send)


def _without_slash(scope: Scope) -> None:
    """An address with one slash too many means the same, here as at the front, for roles and limits too."""
    path, raw = scope["path"], scope["raw_path"]
    if len(path) > 1 and path.endswith("/") and raw.endswith(b"/"):
        scope["path"], scope["raw_path"] = path[:-1], raw[:-1]


def _with_policy(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            message["headers"] = [*message["headers"], _POLICY_OF_PAGES]
        await send(message)

    return sender
