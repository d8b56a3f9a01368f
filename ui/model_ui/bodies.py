"""The ASGI layer right before Gradio: bodies up to a size, and events of its page that name no file."""

import asyncio
from collections.abc import Mapping
from typing import Any

from model_ui import uploads
from model_ui.asgi import App, Message, Receive, Scope, Send, send_json

# A drawing or an image made small by the page, in base64, is far below.
MAX_EVENT_BYTES = 4 * 1024 * 1024
SECONDS_TO_START = 10.0
SLOWEST_BYTES_PER_SECOND = 1024


class BodyGuard:
    """The ASGI application around Gradio's that reads bodies before it does.

    `events` are those of its page: how many values each has, by its number. What Gradio does not know would be a fault
    of its own, with a traceback in the log.
    """

    def __init__(self, app: App, events: Mapping[int, int]) -> None:
        self._app = app
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0").decode("latin-1")
        if not declared.isdecimal() or int(declared) > MAX_EVENT_BYTES:
            return await _too_long(send)
        body = Body(receive, MAX_EVENT_BYTES)
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if body.failure and not started:
                # Whatever Gradio makes of a body that breaks off, this is the reason.
                status = body.failure
                message = (
                    {**message, "status": status} if message["type"] == "http.response.start" else message
                )
            started = True
            await send(message)

        try:
            if scope["method"] == "POST":
                await self._check_event(scope, body, send, answer)
            else:
                await self._app(scope, body, answer)
        except Exception:
            if not body.broken_off:
                raise
            # Gradio knows no client that leaves; for the log it is nothing.

    async def _check_event(self, scope: Scope, body: "Body", send: Send, answer: Send) -> None:
        """Pass an event on once its whole body is there and names no file."""
        content = await body.read()
        if content is None:
            if body.failure == 408:
                await send_json(
                    send,
                    408,
                    {"detail": "The body did not arrive in time. Send it again."},
                    connection="close",
                )
            elif body.failure:
                await _too_long(send)
            return
        try:
            event = uploads.read(content)
        except uploads.BadEvent as error:
            return await send_json(send, 400, {"detail": str(error)})
        if uploads.names_a_file(event):
            detail = "The request names a file of the server. Send the content itself."
            return await send_json(send, 403, {"detail": detail})
        if not self._knows(event):
            return await send_json(send, 400, {"detail": "This page has no such event. Load it anew."})
        await self._app(scope, _replay(content, body), answer)

    def _knows(self, event: Any) -> bool:
        if not isinstance(event, dict):
            return False
        number, values = event.get("fn_index"), event.get("data")
        return type(number) is int and isinstance(values, list) and self._events.get(number) == len(values)


class Body:
    """A request body that ends when it gets too long, or when it does not arrive in time."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        self._begin = asyncio.get_running_loop().time()
        self.complete = False
        """Whether all of it was read."""
        self.failure = 0
        """Status of the response to a body that is not read to its end."""
        self.broken_off = False
        """Whether it ended before it was complete, for whatever reason."""

    async def __call__(self) -> Message:
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(
                self._begin + SECONDS_TO_START + self._seen / SLOWEST_BYTES_PER_SECOND
            ):
                message = await self._receive()
        except TimeoutError:
            return self._break_off(408)
        if message["type"] != "http.request":
            self.broken_off = True
            return message
        self._seen += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message if self._seen <= self._limit else self._break_off(413)

    def _break_off(self, status: int) -> Message:
        self.failure, self.broken_off = status, True
        return {"type": "http.disconnect"}

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


async def _too_long(send: Send) -> None:
    await send_json(send, 413, {"detail": f"More than {MAX_EVENT_BYTES:,} bytes are not accepted here."})
