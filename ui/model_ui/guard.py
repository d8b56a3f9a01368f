"""What stands between the network and Gradio: an ASGI layer with the rules that Gradio does not have.

Gradio reflects any Origin together with credentials, reads bodies of any size, and has many routes that these pages
never use. This layer answers only to the UI's own hosts, lets through only what the pages use, from the pages
themselves, up to a size, naming no file but uploaded ones, and puts security headers on every answer. Called by
`app.create_app`.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

from model_ui import uploads
from model_ui.hosts import AllowedHosts

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A drawing or an image made small by the page, in base64, is far below.
MAX_EVENT_BYTES = 4 * 1024 * 1024
# Room for the frame of a multipart form.
FORM_BYTES = 64 * 1024
UPLOAD = "/gradio_api/upload"
PAGES = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"}
PREFIXES = (
    "/assets/",
    "/static/",
    "/gradio_api/queue/",
    "/gradio_api/heartbeat/",
    "/gradio_api/upload_progress",
    "/gradio_api/startup-events",
    "/gradio_api/info",
    "/gradio_api/reset",
    "/gradio_api/cancel",
    UPLOAD,
)
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
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
REFLECTED = b"access-control-"
# Anybody can send it, and Gradio builds the addresses in its pages from it: Host alone says where we are.
FORWARDED_HOST = b"x-forwarded-host"


class Guard:
    """The ASGI application around Gradio's; also answers GET /livez."""

    def __init__(
        self,
        app: App,
        *,
        root_path: str,
        max_upload_bytes: int,
        upload_folder: Path,
        allowed_hosts: Iterable[str],
    ) -> None:
        self._app = app
        self._uploads = upload_folder
        self._hosts = AllowedHosts(allowed_hosts, "UI_ALLOWED_HOSTS")
        self._root = root_path
        self._max_upload = max_upload_bytes + FORM_BYTES
        # Lets a page notice that another process has taken the place of the one that it came from.
        self._instance = secrets.token_hex(8)

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
            return await _answer(send, rejection.status, rejection.detail)
        path = self._inside(scope["path"])
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != FORWARDED_HOST]
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        scope["path"], scope["raw_path"] = path, path.encode()
        if self._root and path == "":
            await _answer(send, 307, "Moved.", location=f"{self._root}/")
        elif path == "/livez":
            await _json(send, 200, {"status": "ok", "instance": self._instance})
        elif path not in PAGES and not path.startswith(PREFIXES):
            await _answer(send, 404, "There is nothing here.")
        else:
            upload = path.startswith(UPLOAD)
            limit = self._max_upload if upload else MAX_EVENT_BYTES
            await self._bounded(
                scope, receive, send, headers, limit, event=scope["method"] == "POST" and not upload
            )

    def _inside(self, path: str) -> str:
        """The path without the prefix, which the proxy may or may not have taken away."""
        if self._root and (path == self._root or path.startswith(f"{self._root}/")):
            return path[len(self._root) :]
        return path

    async def _bounded(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str], limit: int, *, event: bool
    ) -> None:
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > limit:
            await _answer(send, 413, f"More than {limit:,} bytes are not accepted here.")
            return
        body = _Body(receive, limit)
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if body.exceeded and not started:
                # Whatever Gradio makes of a body that breaks off, this is the reason.
                message = {**message, "status": 413} if message["type"] == "http.response.start" else message
            started = True
            await send(message)

        if event:
            await self._check_event(scope, body, send, answer)
        else:
            await self._app(scope, body, answer)

    async def _check_event(self, scope: Scope, body: "_Body", send: Send, answer: Send) -> None:
        """Pass an event on once its whole body is there and names no file but uploaded ones."""
        content = await body.read()
        if content is None:
            if body.exceeded:
                await _answer(send, 413, f"More than {MAX_EVENT_BYTES:,} bytes are not accepted here.")
            return
        try:
            allowed = uploads.names_only_uploads(content, self._uploads)
        except uploads.BadEvent as error:
            await _answer(send, 400, str(error))
            return
        if not allowed:
            await _answer(send, 403, "The request names a file that was not uploaded here. Upload it first.")
            return
        await self._app(scope, _replay(content, body), answer)


class _Body:
    """A request body that ends when it gets too long; for bodies that do not say their length beforehand."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.exceeded = False

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.exceeded = True
                return {"type": "http.disconnect"}
        return message

    async def read(self) -> bytes | None:
        """The whole body; None when the client left or it is too long."""
        content = bytearray()
        while True:
            message = await self()
            if message["type"] != "http.request":
                return None
            content += message.get("body", b"")
            if not message.get("more_body", False):
                return bytes(content)


def _replay(content: bytes, rest: Receive) -> Receive:
    """A body that has been read, for the application behind; afterwards what else arrives."""
    pending: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        return pending.pop() if pending else await rest()

    return receive


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


async def _answer(send: Send, status: int, detail: str, **headers: str) -> None:
    await _json(send, status, {"detail": detail}, **headers)


async def _json(send: Send, status: int, body: dict[str, str], **headers: str) -> None:
    content = json.dumps(body).encode()
    fields = {
        "content-type": "application/json",
        "content-length": str(len(content)),
        "cache-control": "no-store",
    }
    pairs = [(key.encode(), value.encode()) for key, value in {**fields, **headers}.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
