"""ASGI's types, and the short HTTP responses that the layers before Gradio send themselves."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def send_json(send: Send, status: int, body: Mapping[str, str], **headers: str) -> None:
    """A JSON object as the whole response; keywords are more headers, with `_` for `-`."""
    await _send(send, status, json.dumps(body), "application/json", headers)


async def send_html(send: Send, status: int, page: str, **headers: str) -> None:
    """An HTML document as the whole response."""
    await _send(send, status, page, "text/html; charset=utf-8", headers)


async def redirect(send: Send, status: int, location: str, **headers: str) -> None:
    """Send the client on to another address of this server."""
    await _send(send, status, "", "text/plain", {"location": location, **headers})


async def _send(send: Send, status: int, text: str, kind: str, headers: Mapping[str, str]) -> None:
    content = text.encode()
    fields = {
        "content-type": kind,
        "content-length": str(len(content)),
        "cache-control": "no-store",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    pairs = [(key.encode(), value.encode("latin-1")) for key, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
