"""The ASGI layer that lets only known visitors through to Gradio: login, logout, and the end of streams.

A link with `?token=` or the login's form trades a token for a cookie. Everything but OPEN and OPEN_PREFIXES needs a
visitor that the API knows: a new route is closed until it is named there. Who visits is found by
`authentication.visitor_of` in callbacks; Gradio itself gets no credential.
"""

import asyncio
import logging
import re
from urllib.parse import parse_qs, parse_qsl, urlencode

from model_ui import credentials
from model_ui.asgi import App, Message, Receive, Scope, Send, redirect, send_html, send_json
from model_ui.attempts import WrongAttempts
from model_ui.authentication import (
    FRESH_SECONDS,
    SCOPE_KEY,
    Authenticator,
    Unauthenticated,
    Unverified,
    Visitor,
)
from model_ui.credentials import CredentialCookie
from model_ui.render import login as pages

LOGIN, LOGOUT, SESSION = "/login", "/logout", "/session"
ROUTES = frozenset((LOGIN, LOGOUT, SESSION))
# What holds no data.
OPEN = frozenset(("/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"))
OPEN_PREFIXES = ("/assets/", "/static/")
# Responses that last as long as a page is open.
STREAMS = ("/gradio_api/queue/data", "/gradio_api/heartbeat/", "/gradio_api/upload_progress")
FORM_BYTES, FORM_SECONDS = 16 * 1024, 10.0
SLOW_SECONDS = 1.0
RETRY_SECONDS = 3
LONGEST_ADDRESS = 2000
_ADDRESS = re.compile(r"/[A-Za-z0-9_-]*(\?[!-~]*)?")

logger = logging.getLogger(__name__)


class Login:
    """The ASGI application between `guard.Guard`, whose rules on Host and Origin come first, and Gradio.

    `instance` names this process: `GET /session` says it together with the visitor's state, so that a page notices
    when either changes.
    """

    def __init__(
        self,
        app: App,
        authenticator: Authenticator,
        cookie: CredentialCookie,
        *,
        root_path: str,
        hint: str,
        instance: str,
        attempts: WrongAttempts | None = None,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._cookie = cookie
        self._root = root_path
        self._hint = hint
        self._instance = instance
        self._attempts = attempts or WrongAttempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if scope["type"] != "http" or path in OPEN or path.startswith(OPEN_PREFIXES):
            await self._app(scope, receive, send)
        elif path == SESSION:
            await self._session(scope, send)
        elif path in ROUTES and scope["method"] != "POST":
            await redirect(send, 303, f"{self._root}/")
        elif path == LOGOUT:
            await redirect(send, 303, f"{self._root}/", set_cookie=self._cookie.clear())
        elif path == LOGIN:
            await self._form(scope, receive, send)
        elif _wants_page(scope) and (token := _token_in(scope)) is not None:
            await self._log_in(scope, send, token, _address(scope))
        else:
            await self._visit(scope, receive, send)

    async def _visit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await self._visitor(scope)
        except Unverified as error:
            return await self._away(scope, send, str(error))
        except Unauthenticated:
            return await self._closed(scope, send)
        hidden = (b"authorization", b"cookie")
        headers = [pair for pair in scope["headers"] if pair[0] not in hidden]
        inner = {**scope, "headers": headers, SCOPE_KEY: visitor}
        if scope["method"] == "GET" and scope["path"].startswith(STREAMS):
            await self._stream(inner, receive, _private(send), visitor)
        else:
            await self._app(inner, receive, _private(send))

    async def _visitor(self, scope: Scope) -> Visitor:
        """Who asks: anybody where the API wants no credential. Raises Unauthenticated and Unverified."""
        if credential := self._cookie.credential(scope["headers"]):
            try:
                me = await self._authenticator.identify(credential.token)
                return Visitor(me, credential.token, credential.from_cookie)
            except Unauthenticated:
                # A cookie from before the API's authentication was switched off is no reason to reject anybody.
                pass
        return Visitor(await self._authenticator.identify(None))

    async def _stream(self, scope: Scope, receive: Receive, send: Send, visitor: Visitor) -> None:
        """Pass a stream on until the visitor's credential is no longer accepted."""
        started = finished = False

        async def answer(message: Message) -> None:
            nonlocal started, finished
            started = True
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        stream = asyncio.ensure_future(self._app(scope, receive, answer))
        try:
            while not (await asyncio.wait((stream,), timeout=FRESH_SECONDS))[0]:
                await self._authenticator.identify(visitor.token)
        except Unauthenticated:
            pass
        except Unverified:
            logger.warning("a stream ends: the API does not say whether its visitor is still known")
        finally:
            # Gradio takes this for a client that left, and tidies up.
            stream.cancel()
            await asyncio.wait((stream,), timeout=FRESH_SECONDS)
        if started and not finished:
            await send({"type": "http.response.body", "body": b""})
        if not stream.cancelled():
            stream.result()

    async def _session(self, scope: Scope, send: Send) -> None:
        try:
            await self._visitor(scope)
            state = "known"
        except Unauthenticated:
            state = "unknown"
        except Unverified:
            state = "unverified"
        await send_json(send, 200, {"instance": self._instance, "visitor": state})

    async def _form(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = await _body(receive)
        if content is None:
            return await send_json(
                send, 413, {"detail": "Send a form with the field token, within 10 seconds."}
            )
        try:
            fields = parse_qs(content.decode("ascii"), max_num_fields=10)
        except ValueError:
            return await send_json(send, 400, {"detail": "Send a form with the field token."})
        token = credentials.pasted(fields.get("token", [""])[0])
        await self._log_in(scope, send, token, _inside(fields.get("next", ["/"])[0]))

    async def _log_in(self, scope: Scope, send: Send, token: str, address: str) -> None:
        """Trade a token for the cookie and go on to an address of ours; a wrong one gets the login page again."""
        location = f"{self._root}{address}"
        client = scope["client"][0] if scope.get("client") else ""
        try:
            await self._authenticator.identify(None)
            return await redirect(send, 303, location)
        except (Unauthenticated, Unverified):
            pass
        try:
            if not credentials.usable(token):
                raise Unauthenticated("not a token")
            me = await self._authenticator.identify(token)
        except Unverified as error:
            return await self._away(scope, send, str(error))
        except Unauthenticated:
            return await self._wrong(send, client, address)
        logger.info("%s logs in as %s from %s", ascii(me.subject), me.role, client)
        await redirect(send, 303, location, set_cookie=self._cookie.keep(token))

    async def _wrong(self, send: Send, client: str, address: str) -> None:
        logger.warning("a wrong token from %s", client)
        if self._attempts.note(client):
            await asyncio.sleep(SLOW_SECONDS)
            await self._page(send, 429, address, problem=pages.TOO_MANY, retry_after="60")
        else:
            await self._page(send, 401, address, problem=pages.WRONG)

    async def _closed(self, scope: Scope, send: Send) -> None:
        """What a visitor gets whom the API does not know: the login instead of a page, 401 instead of all else."""
        if not _wants_page(scope):
            detail = "Log in again: open the page anew and present a token."
            return await send_json(send, 401, {"detail": detail}, www_authenticate="Bearer")
        credential = self._cookie.credential(scope["headers"])
        problem = pages.EXPIRED if credential and credential.from_cookie else ""
        # Browsers hold a SameSite=Strict cookie back from the first request that a link of another site makes.
        arrived = not credential and (b"sec-fetch-site", b"cross-site") in scope["headers"]
        await self._page(send, 401, _address(scope), problem=problem, arrived=arrived)

    async def _page(
        self,
        send: Send,
        status: int,
        address: str,
        *,
        problem: str = "",
        arrived: bool = False,
        **headers: str,
    ) -> None:
        page = pages.login(
            self._root, next_address=address, hint=self._hint, problem=problem, arrived=arrived
        )
        await send_html(send, status, page, www_authenticate="Bearer", **headers)

    async def _away(self, scope: Scope, send: Send, detail: str) -> None:
        seconds = str(RETRY_SECONDS)
        if not _wants_page(scope) and scope["path"] != LOGIN:
            detail = f"The API does not answer, so nobody can be let in. {detail}"
            return await send_json(send, 503, {"detail": detail}, retry_after=seconds)
        # A browser would ask before it sends a form again.
        again = {} if scope["path"] == LOGIN else {"refresh": seconds}
        await send_html(send, 503, pages.away(detail, again=bool(again)), retry_after=seconds, **again)


def _wants_page(scope: Scope) -> bool:
    """Whether a browser opens an address as a page, rather than a script or a program asking for something."""
    headers = dict(scope["headers"])
    if scope["method"] not in ("GET", "HEAD"):
        return False
    return scope["path"] == "/" or b"text/html" in headers.get(b"accept", b"")


def _token_in(scope: Scope) -> str | None:
    """The token in the query."""
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return query["token"][0] if "token" in query else None


def _address(scope: Scope) -> str:
    """Path and query of a request without a token, below the root path."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    rest = urlencode([(key, value) for key, value in query if key != "token"])
    return _inside(f"{scope['path']}?{rest}" if rest else scope["path"])


def _inside(address: str) -> str:
    """The address, or `/` for one that could lead to another server or into another header."""
    return address if len(address) <= LONGEST_ADDRESS and _ADDRESS.fullmatch(address) else "/"


async def _body(receive: Receive) -> bytes | None:
    """A small body; None when it is too long, too slow, or breaks off."""
    content = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            while len(content) <= FORM_BYTES:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                content += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(content) if len(content) <= FORM_BYTES else None
    except TimeoutError:
        pass
    return None


def _private(send: Send) -> Send:
    """Responses to a visitor stay in no cache: after the logout, `back` shows nothing."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() != b"cache-control"]
            message = {**message, "headers": [*kept, (b"cache-control", b"no-store")]}
        await send(message)

    return sender
