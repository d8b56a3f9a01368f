"""ASGI layer around the API: nobody gets past it without a credential, but to the addresses that are open to all."""

import logging
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metadata_api.auth.callers import Callers
from metadata_api.auth.principal import STATE
from metadata_api.auth.request import current_request, logged_path
from metadata_api.errors import MarinaError, Unavailable
from metadata_api.limits import BodyRejected, reject

REQUEST_ID = "request_id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# These carry an id of their own, in the body, and every microsecond counts there.
WITHOUT_ID = "/v2/"
# A body that takes longer is followed by another look at the credential.
RECHECK_SECONDS = 1.0
# So many of them are logged one by one; the others are counted.
STRANGERS_A_MINUTE = 60
CHALLENGE = (b"www-authenticate", b'Bearer realm="marina"')

log = logging.getLogger(__name__)


class Authentication:
    """Puts the caller into the scope, or rejects the request before the body is read.

    Args:
        is_open: whether an address, given as method and path, needs no credential.
        rejected: counts the requests that were rejected, by status, here and by the routes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        callers: Callers,
        is_open: Callable[[str, str], bool],
        rejected: Counter[str],
        root_path: str,
    ) -> None:
        self.app = app
        self.callers = callers
        self.is_open = is_open
        self.rejected = rejected
        self.root_path = root_path
        self._minute = 0
        self._strangers = 0
        """Rejected in this minute without a valid credential."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401, 403 or 503."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        state = scope.setdefault("state", {})
        path = scope["path"].removeprefix(self.root_path)
        if not self.is_open(scope["method"], path):
            try:
                state[STATE] = caller = await self.callers.of(scope["headers"])
                caller.require_path(path)
            except MarinaError as error:
                return await self._reject(scope, send, error)
            receive = self._rechecking(scope, receive)
        if not scope["path"].startswith(WITHOUT_ID):
            state[REQUEST_ID] = _request_id(scope)
        token = current_request.set(scope)
        try:
            await self.app(scope, receive, self._counting(scope, send))
        finally:
            current_request.reset(token)

    def _rechecking(self, scope: Scope, receive: Receive) -> Receive:
        """A body that took long counts for nothing when its sender has lost the credential meanwhile."""
        begin = time.monotonic()

        async def receiver() -> Message:
            message = await receive()
            whole = message["type"] == "http.request" and not message.get("more_body", False)
            if whole and time.monotonic() - begin > RECHECK_SECONDS:
                try:
                    scope["state"][STATE] = await self.callers.of(scope["headers"])
                except Unavailable:
                    pass  # whoever verifies it said yes before, and cannot be asked now
                except MarinaError as error:
                    raise BodyRejected(error.status, error.code, error.detail) from None
            return message

        return receiver

    async def _reject(self, scope: Scope, send: Send, error: MarinaError) -> None:
        headers = {401: [CHALLENGE], 503: [(b"retry-after", b"1")]}.get(error.status, [])
        await reject(scope, self._counting(scope, send), error.status, error.code, error.detail, headers)

    def _counting(self, scope: Scope, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                if status in (401, 403):
                    self._note(scope, status)
                if REQUEST_ID in scope["state"]:
                    MutableHeaders(scope=message)["x-request-id"] = scope["state"][REQUEST_ID]
            await send(message)

        return sender

    def _note(self, scope: Scope, status: int) -> None:
        """Count a rejected request, and log it, with nothing in the line that its sender could end it by.

        Whoever has no credential gets so many lines a minute, so that nobody can fill the log from outside.
        """
        self.rejected[str(status)] += 1
        caller = scope["state"].get(STATE)
        if caller is None:
            minute = int(time.monotonic() // 60)
            if minute != self._minute:
                if (more := self._strangers - STRANGERS_A_MINUTE) > 0:
                    log.warning("%d more requests without a valid credential were rejected", more)
                self._minute, self._strangers = minute, 0
            self._strangers += 1
            if self._strangers > STRANGERS_A_MINUTE:
                return
        who = f"{caller.subject} ({caller.role})" if caller else "no valid credential"
        log.warning(
            "%s %.200a: %d, %a, from %a", scope["method"], logged_path(scope), status, who, address_of(scope)
        )


def address_of(scope: Scope) -> str:
    """Where a request came from, as the server says it; behind a proxy that is trusted, the client's."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _request_id(scope: Scope) -> str:
    """The client's own when it is a plain word, so that both sides find it in their logs; else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
