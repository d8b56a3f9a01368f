"""What stands between the network and everything else: an ASGI layer with the rules that Gradio does not have.

Gradio reflects any Origin together with credentials, and has many routes that these pages never use. This layer answers
only to the UI's own hosts, lets through only what the pages use, from the pages themselves, and puts security headers
on every answer. Behind it come `login.Login` and `bodies.BodyGuard`. Called by `app.create_app`, which names the pages.
"""

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from model_ui import archives, login
from model_ui.asgi import App, Message, Receive, Scope, Send, redirect, send_json, wants_page
from model_ui.hosts import AllowedHosts
from model_ui.shell import gradio_routes

HEADERS = {
    # Gradio compiles its templates in the browser: without eval and inline scripts its pages stay blank. What is left
    # still keeps every request on this origin.
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    # Nothing for other servers. Not `no-referrer`: with it, browsers send `Origin: null` with the forms of login and
    # logout, which over plain HTTP, where Sec-Fetch-Site is missing, looks like a page of another site.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
REFLECTED = b"access-control-"
# Anybody can send them, and Gradio builds the addresses in its pages from them. Host alone says where we are, and the
# server, which knows the proxies that are trusted, whether it is by TLS.
FORWARDED = (b"forwarded", b"x-forwarded-")


class Guard:
    """The outermost ASGI application; also answers GET /livez."""

    def __init__(
        self,
        app: App,
        *,
        root_path: str,
        allowed_hosts: Iterable[str],
        public_url: str = "",
        pages: Collection[str] = (),
    ) -> None:
        self._app = app
        self._pages = frozenset((*pages, *login.ROUTES))
        parts = urlsplit(public_url)
        self._tls_host = parts.netloc.lower().encode() if parts.scheme == "https" else None
        self._hosts = AllowedHosts(allowed_hosts, "UI_ALLOWED_HOSTS")
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(dict(scope), receive, _with_headers(send))
        else:
            # The pages open no websocket.
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if rejection := self._hosts.rejection(scope):
            return await send_json(send, rejection.status, {"detail": rejection.detail})
        path = self._inside(scope["path"])
        scope["headers"] = [pair for pair in scope["headers"] if not pair[0].startswith(FORWARDED)]
        if self._tls_host is not None and (b"host", self._tls_host) in scope["headers"]:
            scope["scheme"] = "https"
        scope["path"], scope["raw_path"] = path, path.encode()
        if self._root and path == "":
            query = scope["query_string"].decode("latin-1")
            await redirect(send, 307, f"{self._root}/?{query}" if query else f"{self._root}/")
        elif path == "/livez":
            await send_json(send, 200, {"status": "ok"})
        elif self._is_open(path) or wants_page(scope):
            # A browser that opens anything else gets a page that says so.
            await self._app(scope, receive, send)
        else:
            await send_json(send, 404, {"detail": "There is nothing here."})

    def _is_open(self, path: str) -> bool:
        return path in self._pages or path.startswith(archives.PREFIX) or gradio_routes.are(path)

    def _inside(self, path: str) -> str:
        """The path without the prefix, which the proxy may or may not have taken away."""
        if self._root and (path == self._root or path.startswith(f"{self._root}/")):
            return path[len(self._root) :]
        return path


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {key.encode() for key in HEADERS}
            kept = [
                (key, value)
                for key, value in message.get("headers", [])
                if not key.lower().startswith(REFLECTED) and key.lower() not in own
            ]
            added = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return sender
