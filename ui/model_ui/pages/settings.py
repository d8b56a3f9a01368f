"""The page Settings: who one is, and the theme of this browser."""

from starlette.datastructures import FormData
from starlette.responses import Response

from model_ui.addresses import inside
from model_ui.shell.page import Page
from model_ui.shell.visit import THEME, THEMES, Visit

YEAR_SECONDS = 365 * 24 * 3600


async def show(visit: Visit) -> Response:
    """The page."""
    return await visit.render("settings.html", title="Settings")


async def choose_theme(visit: Visit, form: FormData) -> Response:
    """Keep a theme in this browser, and go back to where one was."""
    theme = str(form.get("theme", ""))
    if theme not in THEMES:
        return visit.failed("There is no such theme.")
    answer = visit.redirect(inside(str(form.get("back", "/settings"))))
    answer.set_cookie(THEME, theme, max_age=YEAR_SECONDS, path=visit.frame.root or "/", samesite="strict")
    return answer


PAGES = (Page("/settings", show, {"theme": choose_theme}),)
