"""Puts our frame around the document of Gradio's page, while it is sent."""

import re
from typing import TYPE_CHECKING

from model_ui.asgi import Message, Send

if TYPE_CHECKING:
    from model_ui.shell.visit import Visit

HEAD, BODY = b"</head>", b"<gradio-app"
# What this page has no use for: a script for pages within others, and the manifest.
NEEDLESS = re.compile(
    rb"<script>(?:(?!</script>).)*iframeResizer\.contentWindow(?:(?!</script>).)*</script>"
    rb'|<link rel="manifest"[^>]*>',
    re.DOTALL,
)


class Framed:
    """A `send` that inserts the frame before it passes the document on; whatever is no document stays as it is."""

    def __init__(self, send: Send, visit: "Visit") -> None:
        self._send = send
        self._visit = visit
        self._start: Message | None = None
        self._content = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message.get("headers", [])).get(b"content-type", b"")
            if message["status"] == 200 and kind.startswith(b"text/html"):
                self._start = message
            else:
                await self._send(message)
        elif self._start is None:
            await self._send(message)
        else:
            self._content += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        parts = await self._visit.top()
        content = NEEDLESS.sub(b"", bytes(self._content))
        content = content.replace(HEAD, parts["head"].encode() + HEAD, 1)
        content = content.replace(BODY, parts["top"].encode() + BODY, 1)
        headers = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(content)).encode()))
        if self._visit.frame.status.name in self._visit.request.cookies:
            headers.append((b"set-cookie", self._visit.frame.status.clear().encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})
