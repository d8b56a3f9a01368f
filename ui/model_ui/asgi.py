"""ASGI's types, and the short HTTP responses that the layers before Gradio send themselves."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
# A header's value, or those of one that is sent several times, as Set-Cookie is.
Header = str | Sequence[str]
# A visitor's own page: the browser asks each time whether it is still the same, and the login comes before the answer.
REVALIDATE = b"private, no-cache"
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def send_json(send: Send, status: int, body: Mapping[str, str], **headers: Header) -> None:
    """A JSON object as the whole response; keywords are more headers, with `_` for `-`."""
    await _send(send, status, json.dumps(body), "application/json", headers)


async def send_html(send: Send, status: int, page: str, **headers: Header) -> None:
    """An HTML document as the whole response."""
    await _send(send, status, page, "text/html; charset=utf-8", headers)


async def redirect(send: Send, status: int, location: str, **headers: Header) -> None:
    """Send the client on to another address of this server."""
    await _send(send, status, "", "text/plain", {"location": location, **headers})


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes | None:
    """A small body; None when it is longer than `limit` bytes, takes longer than `seconds`, or breaks off."""
    content = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while len(content) <= limit:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                content += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(content) if len(content) <= limit else None
    except TimeoutError:
        pass
    return None


def wants_page(scope: Scope) -> bool:
    """Whether a browser opens an address as a page, rather than a script or a program asking for something."""
    if scope["method"] not in ("GET", "HEAD"):
        return False
    return scope["path"] == "/" or takes_page(scope)


def takes_page(scope: Scope) -> bool:
    """Whether the answer to a request, perhaps a form, is shown to somebody."""
    return b"text/html" in dict(scope["headers"]).get(b"accept", b"")


def uncached(send: Send) -> Send:
    """A `send` whose responses stay in no cache, but for those that a browser may keep and has to ask about."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            if (b"cache-control", REVALIDATE) in message.get("headers", []):
                return await send(message)
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() != b"cache-control"]
            message = {**message, "headers": [*kept, (b"cache-control", b"no-store")]}
        await send(message)

    return sender


async def _send(send: Send, status: int, text: str, kind: str, headers: Mapping[str, Header]) -> None:
    content = text.encode()
    fields: dict[str, Header] = {
        "content-type": kind,
        "content-length": str(len(content)),
        "cache-control": "no-store",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    pairs = [
        (key.encode(), value.encode("latin-1"))
        for key, values in fields.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
