"""The page Settings: who one is, the theme of this browser, and for admins the API tokens."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.addresses import inside
from model_ui.api_types import TOKEN_ROLES, IssuedToken, Token
from model_ui.names import number
from model_ui.shell.page import Page
from model_ui.shell.visit import THEME, THEMES, Visit

# What each role may do; it may also do what those before it may.
MAY: dict[str, str] = {
    "viewer": "look at everything but tokens and activity, and download archives",
    "annotator": "ask models, and say what is right",
    "deployer": "deploy, change, stop and remove deployments; move aliases; read logs",
    "publisher": "create, edit and import experiments; upload versions, whose code runs here; set policies",
    "admin": "issue and revoke tokens, see the activity, delete experiments, versions, inputs and predictions",
}
YEAR_SECONDS = 365 * 24 * 3600
DAYS, MOST_DAYS = 90, 3650


async def show(visit: Visit) -> Response:
    """The page."""
    return await _page(visit)


async def choose_theme(visit: Visit, form: FormData) -> Response:
    """Keep a theme in this browser, and go back to where one was."""
    theme = str(form.get("theme", ""))
    if theme not in THEMES:
        return visit.failed("There is no such theme.")
    answer = visit.redirect(inside(str(form.get("back", "/settings"))))
    answer.set_cookie(THEME, theme, max_age=YEAR_SECONDS, path=visit.frame.root or "/", samesite="strict")
    return answer


async def issue_token(visit: Visit, form: FormData) -> Response:
    """Make a token and show its text, this once: the answer is no redirect, and stays in no cache."""
    names = str(form.get("deployments", "")).replace(",", " ").split()
    days = str(form.get("days", "")).strip()
    if days and number(days) is None:
        return visit.failed("Give the days as a whole number, or none for a token that never expires.")
    made = await visit.api.issue_token(
        str(form.get("name", "")).strip(),
        str(form.get("role", "viewer")),
        deployments=names or None,
        expires_in_days=number(days),
    )
    answer = await _page(visit, made)
    answer.headers["cache-control"] = "no-store"
    del answer.headers["etag"]
    return answer


async def revoke_token(visit: Visit, form: FormData) -> Response:
    """Revoke a token for good."""
    token_id = str(form.get("id", ""))
    await visit.api.revoke_token(token_id)
    return visit.done(f"Token {token_id} is revoked.")


async def _page(visit: Visit, made: IssuedToken | None = None) -> Response:
    known = await visit.api.tokens() if visit.me.may("admin") else []
    return await visit.render(
        "settings.html",
        title="Settings",
        seconds=0,
        tokens=[(token, _state(token)) for token in known],
        issued=made,
        login_link=_login_link(visit, made) if made and made.role in MAY else "",
        may=MAY,
        roles=TOKEN_ROLES,
        days=DAYS,
        most_days=MOST_DAYS,
    )


def _login_link(visit: Visit, made: IssuedToken) -> str:
    """The address that logs a browser in with a token."""
    here = visit.request.url
    return f"{here.scheme}://{here.netloc}{visit.frame.root}/?{urlencode({'token': made.token})}"


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= datetime.now(UTC) else "valid"


PAGES = (Page("/settings", show, {"theme": choose_theme, "issue": issue_token, "revoke": revoke_token}),)
