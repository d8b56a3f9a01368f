"""The ASGI layer that answers for the pages with addresses, and puts their frame around Gradio's page.

Stands behind the login: whoever gets here is known. What is no page is Gradio's if `gradio_routes` says so, else a 404
in the frame. Called by `app.protect`.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from model_ui.api_errors import ApiAway, ApiError, ApiRejected, ApiUnauthenticated
from model_ui.asgi import App, Message, Receive, Scope, Send
from model_ui.bodies import Body
from model_ui.names import NAME
from model_ui.shell import gradio_routes, static
from model_ui.shell.framing import Framed
from model_ui.shell.page import Page
from model_ui.shell.visit import Frame, Visit

AGAIN_SECONDS = 3.0

logger = logging.getLogger(__name__)


class Workbench:
    """The pages; `rest` answers for Gradio's routes."""

    def __init__(self, rest: App, pages: Sequence[Page], frame: Frame) -> None:
        self._rest = rest
        self._frame = frame
        self._pages: Mapping[str, Page] = {page.path: page for page in pages}
        self._pretty = {page.pretty.partition("{")[0]: page.path for page in pages if page.pretty}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or (gradio_routes.are(path) and not path.startswith(static.PREFIX)):
            if path == "/" and scope.get("method") == "GET":
                visit = Visit(Request(dict(scope)), self._frame)
                return await self._rest(scope, receive, Framed(send, visit))
            return await self._rest(scope, receive, _kept(send) if path.startswith("/assets/") else send)
        page = self._pages.get(path)
        most = page.most_bytes if page else 0
        body = Body(receive, most)
        request = Request(dict(scope), body)
        answer = await self._answer(page, request, most)
        if body.failure:
            # The form did not arrive: whatever was made of it, this is the reason.
            detail = (
                f"Forms of more than {most:,} bytes are not accepted here." if body.failure == 413 else ""
            )
            answer = Response(detail or "The form did not arrive in time. Send it again.", body.failure)
        await answer(dict(scope), receive, send)

    async def _answer(self, page: Page | None, request: Request, most: int) -> Response:
        path = request.scope["path"]
        if path.startswith(static.PREFIX):
            return static.serve(request)
        visit = Visit(request, self._frame)
        try:
            if page is None:
                return self._redirected(path, visit) or await _missing(visit)
            if request.method in ("GET", "HEAD"):
                return await page.show(visit)
            if request.method == "POST" and page.actions:
                return await _act(page, visit, most)
            return await _refused(visit, 405, "This page takes no forms", "Go back and use its buttons.")
        except ApiError as error:
            return await _problem(visit, error)
        except Exception as error:
            # The edge of a page: whatever is wrong with it, its visitor gets an answer, and the log the reason.
            return await _fault(visit, error)

    def _redirected(self, path: str, visit: Visit) -> Response | None:
        """From the pretty address of a thing to its page."""
        before, _, name = path.rpartition("/")
        target = self._pretty.get(f"{before}/")
        if target is None or not NAME.fullmatch(name):
            return None
        rest = [(key, value) for key, value in visit.request.query_params.multi_items() if key != "name"]
        return visit.redirect(f"{target}?{urlencode([('name', name), *rest])}")


async def _act(page: Page, visit: Visit, most: int) -> Response:
    size = visit.request.headers.get("content-length", "0")
    if not size.isdecimal() or int(size) > most:
        return await _refused(visit, 413, "This is too large", f"Send at most {most:,} bytes.")
    try:
        async with visit.request.form(max_part_size=most) as form:
            act = page.actions.get(str(form.get("do", "")))
            if act is None:
                return visit.failed("This button is not known. Load the page anew.")
            return await act(visit, form)
    except (MultiPartException, ClientDisconnect):
        return await _refused(visit, 400, "This form cannot be read", "Go back and send it again.")
    except ApiUnauthenticated:
        return visit.redirect(visit.here)
    except ApiError as error:
        return visit.failed(error)


async def _problem(visit: Visit, error: ApiError) -> Response:
    if isinstance(error, ApiAway):
        visit.api_is_away = True
        answer = await visit.render(
            "away.html", title="API away", status=503, seconds=AGAIN_SECONDS, detail=error.detail
        )
        answer.headers["retry-after"] = str(round(AGAIN_SECONDS))
        answer.headers["cache-control"] = "no-store"
        return answer
    if isinstance(error, ApiUnauthenticated):
        return await _refused(visit, 401, "You are no longer logged in", error.detail)
    if isinstance(error, ApiRejected):
        words = {404: "There is nothing of this name", 403: "This is not for your role"}
        return await _refused(
            visit, error.status, words.get(error.status, "This cannot be shown"), error.detail
        )
    logger.error("%s: %s", visit.path, error.detail)
    return await _refused(visit, 502, "The API has a fault", error.detail)


async def _fault(visit: Visit, error: Exception) -> Response:
    """A fault of ours: an id for the visitor, and what happened under the same id in the log."""
    number = secrets.token_hex(4)
    logger.error("fault %s: %s %s", number, visit.request.method, visit.path, exc_info=error)
    detail = (
        f"This is a fault of the page, and not yours. Whoever runs Marina finds it in the log under {number}."
    )
    try:
        answer = await _refused(visit, 500, "This page has a fault", detail)
    except Exception as other:
        logger.error("fault %s: its page cannot be shown either", number, exc_info=other)
        return Response(detail, 500, media_type="text/plain")
    answer.headers["cache-control"] = "no-store"
    return answer


async def _missing(visit: Visit) -> Response:
    return await _refused(
        visit, 404, "There is no such page", "The address may be mistyped, or from an older Marina."
    )


async def _refused(visit: Visit, status: int, heading: str, detail: str) -> Response:
    return await visit.render(
        "error.html", title=heading, status=status, seconds=0, heading=heading, detail=detail
    )


def _kept(send: Send) -> Send:
    """A `send` for Gradio's scripts and styles, whose names have the hash of their content."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            others = [pair for pair in message.get("headers", []) if pair[0].lower() != b"cache-control"]
            message = {**message, "headers": [*others, (b"cache-control", static.FOREVER.encode())]}
        await send(message)

    return sender
