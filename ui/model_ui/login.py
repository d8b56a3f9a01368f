"""The ASGI layer that lets only known visitors through to Gradio: login and logout.

A link with `?token=` or the login's form trades a token for a cookie; a link of another page only after somebody has
agreed, as it may carry a token of whoever made it. Everything but OPEN and OPEN_PREFIXES needs a
visitor that the API knows: a new route is closed until it is named there. Who visits is found by
`authentication.visitor_of` in callbacks; Gradio itself gets no credential.
"""

import asyncio
import logging
from urllib.parse import parse_qs

from model_ui import credentials
from model_ui.addresses import inside, token_in, without_token
from model_ui.asgi import (
    App,
    Header,
    Receive,
    Scope,
    Send,
    read_body,
    redirect,
    send_html,
    send_json,
    takes_page,
    uncached,
    wants_page,
)
from model_ui.attempts import FREE, WrongAttempts
from model_ui.authentication import (
    SCOPE_KEY,
    Authenticator,
    Unauthenticated,
    Unverified,
    Visitor,
)
from model_ui.credentials import CredentialCookie
from model_ui.hosts import OWN_PAGES
from model_ui.oidc import LIFETIME_SECONDS, OidcError, OidcLogin
from model_ui.render import login as pages

LOGIN, LOGOUT = "/login", "/logout"
# To the OpenID provider, and back.
BEGIN, CALLBACK = "/login/oidc", "/login/callback"
ROUTES = frozenset((LOGIN, LOGOUT, BEGIN, CALLBACK))
# What holds no data.
OPEN = frozenset(("/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"))
OPEN_PREFIXES = ("/assets/", "/static/")
FORM_BYTES, FORM_SECONDS = 16 * 1024, 10.0
SLOW_SECONDS = 1.0
RETRY_SECONDS = 3

logger = logging.getLogger(__name__)


class Login:
    """The ASGI application between `guard.Guard`, whose rules on Host and Origin come first, and the pages."""

    def __init__(
        self,
        app: App,
        authenticator: Authenticator,
        cookie: CredentialCookie,
        *,
        root_path: str,
        hint: str,
        oidc: OidcLogin | None = None,
        attempts: WrongAttempts | None = None,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._cookie = cookie
        self._root = root_path
        self._hint = hint
        self._oidc = oidc
        self._attempts = attempts or WrongAttempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if scope["type"] != "http" or path in OPEN or path.startswith(OPEN_PREFIXES):
            await self._app(scope, receive, send)
        elif path == BEGIN and self._oidc and scope["method"] == "GET":
            await self._begin(self._oidc, scope, send)
        elif path == CALLBACK and self._oidc and scope["method"] == "GET":
            await self._callback(self._oidc, scope, send)
        elif path in (BEGIN, CALLBACK) or (path in ROUTES and scope["method"] != "POST"):
            await redirect(send, 303, f"{self._root}/")
        elif path == LOGOUT:
            await redirect(send, 303, f"{self._root}/", set_cookie=self._cookie.clear())
        elif path == LOGIN:
            await self._form(scope, receive, send)
        elif wants_page(scope) and (token := token_in(scope)) is not None:
            await self._log_in(scope, send, token, without_token(scope), agreed=not _is_led_here(scope))
        else:
            await self._visit(scope, receive, send)

    async def _visit(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            visitor = await self._visitor(scope)
        except Unverified as error:
            return await self._away(scope, send, str(error))
        except Unauthenticated:
            return await self._closed(scope, send)
        inner = {**scope, "headers": credentials.without(scope["headers"]), SCOPE_KEY: visitor}
        await self._app(inner, receive, uncached(send))

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

    async def _form(self, scope: Scope, receive: Receive, send: Send) -> None:
        content = await read_body(receive, FORM_BYTES, FORM_SECONDS)
        if content is None:
            return await send_json(
                send, 413, {"detail": "Send a form with the field token, within 10 seconds."}
            )
        try:
            fields = parse_qs(content.decode("ascii"), max_num_fields=10)
        except ValueError:
            return await send_json(send, 400, {"detail": "Send a form with the field token."})
        token = credentials.pasted(fields.get("token", [""])[0])
        await self._log_in(scope, send, token, inside(fields.get("next", ["/"])[0]), agreed=True)

    async def _log_in(self, scope: Scope, send: Send, token: str, address: str, *, agreed: bool) -> None:
        """Trade a token for the cookie and go on to an address of ours; a wrong one gets the login page again.

        Without `agreed` the visitor is asked first.
        """
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
        if not agreed:
            page = pages.confirm(self._root, me.subject, me.role, token=token, next_address=address)
            return await send_html(send, 200, page)
        logger.info("%s logs in as %s from %s", ascii(me.subject), me.role, client)
        await redirect(send, 303, location, set_cookie=self._cookie.keep(token))

    async def _begin(self, oidc: OidcLogin, scope: Scope, send: Send) -> None:
        """Send the browser to the provider."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        address = inside(query.get("next", ["/"])[0])
        try:
            location, sealed = await oidc.begin(address)
        except OidcError as error:
            return await self._page(send, 503, address, problem=str(error))
        await redirect(send, 303, location, set_cookie=self._cookie.keep_attempt(sealed, LIFETIME_SECONDS))

    async def _callback(self, oidc: OidcLogin, scope: Scope, send: Send) -> None:
        """Take the browser back from the provider: its id token becomes the visitor's credential."""
        over = self._cookie.clear_attempt()
        try:
            query = scope["query_string"].decode("latin-1")
            token, attempt = await oidc.finish(query, self._cookie.attempt(scope["headers"]))
            if not credentials.usable(token):
                raise OidcError(
                    "The id token is too long for a cookie: let the provider put fewer claims in it."
                )
            me = await self._authenticator.identify(token)
            if not oidc.belongs(token, attempt):
                raise OidcError("The id token does not belong to this login.")
        except (OidcError, Unauthenticated, Unverified) as error:
            logger.warning("a login at the provider fails: %s", ascii(str(error)))
            problem = f"You are not logged in. {error}"
            status = 503 if isinstance(error, Unverified) else 401
            return await self._page(send, status, "/", problem=problem, set_cookie=over)
        logger.info("%s logs in as %s at the provider", ascii(me.subject), me.role)
        cookies = [over, self._cookie.keep(token)]
        await send_html(send, 200, pages.onward(f"{self._root}{attempt.next_address}"), set_cookie=cookies)

    async def _wrong(self, send: Send, client: str, address: str) -> None:
        if self._attempts.note(client):
            # Not logged: nobody fills the log by guessing.
            await asyncio.sleep(SLOW_SECONDS)
            await self._page(send, 429, address, problem=pages.TOO_MANY, retry_after="60")
        else:
            logger.warning("a wrong token from %s; of one address, %d a minute are logged", client, FREE)
            await self._page(send, 401, address, problem=pages.WRONG)

    async def _closed(self, scope: Scope, send: Send) -> None:
        """What a visitor gets whom the API does not know: the login instead of a page, 401 instead of all else."""
        if not wants_page(scope) and not takes_page(scope):
            detail = "Log in again: open the page anew and present a token."
            return await send_json(send, 401, {"detail": detail}, www_authenticate="Bearer")
        credential = self._cookie.credential(scope["headers"])
        problem = pages.EXPIRED if credential and credential.from_cookie else ""
        # Browsers hold a SameSite=Strict cookie back from the first request that a link of another site makes.
        arrived = not credential and (b"sec-fetch-site", b"cross-site") in scope["headers"]
        await self._page(send, 401, without_token(scope), problem=problem, arrived=arrived)

    async def _page(
        self,
        send: Send,
        status: int,
        address: str,
        *,
        problem: str = "",
        arrived: bool = False,
        **headers: Header,
    ) -> None:
        page = pages.login(
            self._root,
            next_address=address,
            hint=self._hint,
            problem=problem,
            arrived=arrived,
            provider=BEGIN if self._oidc else "",
        )
        await send_html(send, status, page, www_authenticate="Bearer", **headers)

    async def _away(self, scope: Scope, send: Send, detail: str) -> None:
        seconds = str(RETRY_SECONDS)
        if not wants_page(scope) and scope["path"] != LOGIN:
            detail = f"The API does not answer, so nobody can be let in. {detail}"
            return await send_json(send, 503, {"detail": detail}, retry_after=seconds)
        # A browser would ask before it sends a form again.
        again = {} if scope["path"] == LOGIN else {"refresh": seconds}
        await send_html(send, 503, pages.away(detail, again=bool(again)), retry_after=seconds, **again)


def _is_led_here(scope: Scope) -> bool:
    """Whether a page of another origin led the browser here; what a person typed or a program opened is `none`."""
    site = dict(scope["headers"]).get(b"sec-fetch-site", b"none")
    return site not in OWN_PAGES
