"""One request of a visitor to a page: what is asked for, the API in the visitor's name, and the answers to it."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from model_ui import training
from model_ui.api_errors import ApiError
from model_ui.api_types import Me
from model_ui.asgi import REVALIDATE
from model_ui.authentication import visitor_in
from model_ui.metadata_client import MetadataClient
from model_ui.shell import gradio_files, navigation, static
from model_ui.shell.addressing import Value, address, names
from model_ui.shell.health import Health, health
from model_ui.shell.status import Kind, Status, StatusCookie, Undo
from model_ui.shell.templates import environment

LIVE = "marina-live"
THEME = "marina_theme"
THEMES = ("system", "light", "dark")
# How often an open page asks what has changed: when nothing moves, and while something does.
IDLE_SECONDS, MOVING_SECONDS = 12.0, 2.0
# So old may be what a refresh shows of what another page has just read.
SHARED_SECONDS, HEALTH_SECONDS = 1.5, 5.0
# And so old where nothing moves and many pages are open.
LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Frame:
    """What all pages share."""

    client: MetadataClient
    root: str
    public_api: str
    status: StatusCookie
    training_file: Path | None = None
    """Says which starter experiment is being trained."""
    archive_bytes: int = 0
    """Size of the largest archive that is taken."""
    build: str = ""
    """Which build of the UI this is; open pages of another one load anew."""
    refresh_seconds: float = IDLE_SECONDS
    """How often Gradio's page asks whether something has changed, when nothing moves."""


class Visit:
    """A request, and what answers it; made for each request by `shell.workbench`."""

    def __init__(self, request: Request, frame: Frame) -> None:
        self.request = request
        self.frame = frame
        self.visitor = visitor_in(request.scope)
        self.path = str(request.scope["path"])
        self.is_live = LIVE in request.headers
        """Whether an open page asks what has changed; the header says after how many seconds."""
        self.api = self.shared(SHARED_SECONDS if self.is_live else 0.0)
        """The API in the visitor's name."""
        self.api_is_away = False
        """Whether it just did not answer: then it is not waited for again."""

    @property
    def me(self) -> Me:
        """Who visits; `me.may(role)` decides which buttons there are."""
        return self.visitor.me

    @property
    def here(self) -> str:
        """This page with its query, below the root path."""
        return f"{self.path}?{self.request.url.query}" if self.request.url.query else self.path

    def shared(self, seconds: float) -> MetadataClient:
        """The API in the visitor's name; what others of the same role have read so lately is not asked again."""
        idles = self.request.headers.get(LIVE, "") == f"{IDLE_SECONDS:g}"
        return self.visitor.client(
            self.frame.client, seconds=seconds, idle_seconds=LONGEST_SECONDS if idles else 0.0
        )

    def query(self, name: str, default: str = "") -> str:
        """A value of the query string without spaces around it."""
        return self.request.query_params.get(name, default).strip()

    def names(self, name: str) -> list[str]:
        """A list of the query string, with commas or repeated."""
        return names(",".join(self.request.query_params.getlist(name)))

    def link(self, path: str, **values: Value) -> str:
        """Address of a page with its query, behind the root path."""
        return f"{self.frame.root}{address(path, **values)}"

    def with_query(self, **changes: Value) -> str:
        """This page with some values of its query changed; a None takes one away."""
        kept: dict[str, Value] = {**dict(self.request.query_params), **changes}
        return self.link(self.path, **kept)

    async def render(
        self,
        template: str,
        *,
        title: str,
        status: int = 200,
        seconds: float = IDLE_SECONDS,
        **values: Any,
    ) -> Response:
        """A page: its template is what stands in the frame.

        Args:
            title: what the browser's tab says before ` · Marina`.
            seconds: how long until an open page asks what has changed; MOVING_SECONDS while something moves.
        """
        common = await self._common(title)
        content = Markup(environment().get_template(template).render({**common, **values}))
        live = (
            environment().get_template("live.html").render({**common, "content": content, "seconds": seconds})
        )
        tag = _tag(live)
        if self.is_live:
            return self._unchanged(tag) or self._page(live, status, tag)
        message = self._message()
        shell = {"content": content, "seconds": seconds, "tag": tag, "message": message}
        shell |= {"status": status, "path_is_gradio": False}
        page = environment().get_template("shell.html").render({**common, **shell})
        whole = _tag(page)
        answer = (None if message else self._unchanged(whole)) or self._page(page, status, whole)
        if message:
            answer.headers["cache-control"] = "no-store"
            answer.headers.append("set-cookie", self.frame.status.clear())
        return answer

    def done(
        self,
        text: str,
        *,
        kind: Kind = "ok",
        link: str = "",
        href: str = "",
        undo: Undo | None = None,
        to: str = "",
    ) -> Response:
        """The answer to a form: back to this page, or to another one, with a message.

        Args:
            link: words of a link beside the message, which leads to `href`.
            undo: the form that takes it back, as a button.
            to: the page, below the root path; by default the form's own.
        """
        message = Status(text=text[:1500], kind=kind, link=link, href=href, undo=undo)
        answer = self.redirect(to or self.here)
        answer.headers.append("set-cookie", self.frame.status.keep(message, self.visitor.token))
        return answer

    def failed(self, reason: ApiError | str, *, to: str = "") -> Response:
        """The answer to a form that came to nothing: back, with the reason."""
        return self.done(reason.detail if isinstance(reason, ApiError) else reason, kind="bad", to=to)

    def redirect(self, to: str) -> Response:
        """On to another page, below the root path."""
        return Response(status_code=303, headers={"location": f"{self.frame.root}{to}"})

    def csv(self, content: bytes, name: str) -> Response:
        """A file that the browser keeps under a name."""
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response(content, headers=headers, media_type="text/csv; charset=utf-8")

    async def top(self) -> dict[str, str]:
        """The frame around Gradio's page: what belongs into its head, and what stands before its content."""
        common = await self._common("Try")
        message = self._message()
        values = {**common, "message": message, "path_is_gradio": True, "gradio": gradio_files.files()}
        return {part: environment().get_template(f"{part}.html").render(values) for part in ("head", "top")}

    def _message(self) -> Status | None:
        """What an action came to that led here."""
        status = self.frame.status
        return status.read(self.request.cookies.get(status.name), self.visitor.token)

    async def _common(self, title: str) -> dict[str, Any]:
        theme = self.request.cookies.get(THEME, "")
        return {
            "visit": self,
            "me": self.me,
            "link": self.link,
            "here": self.here,
            "root": self.frame.root,
            "public_api": self.frame.public_api,
            "title": title,
            "theme": theme if theme in THEMES else "system",
            "entries": navigation.entries(self.path),
            "assets": {name: self.frame.root + path for name, path in static.addresses().items()},
            "health": await self._health(),
            "training": training.line(self.frame.training_file),
            "log_out": self.visitor.from_cookie,
        }

    async def _health(self) -> Health | None:
        if self.api_is_away:
            return None
        try:
            return await health(self.shared(HEALTH_SECONDS))
        except ApiError:
            return None

    def _unchanged(self, tag: str) -> Response | None:
        known = self.request.headers.get("if-none-match", "")
        if tag not in (part.strip().removeprefix("W/") for part in known.split(",")):
            return None
        return Response(status_code=304, headers={"etag": tag, "cache-control": REVALIDATE.decode()})

    def _page(self, text: str, status: int, tag: str) -> Response:
        headers = {"etag": tag, "cache-control": REVALIDATE.decode(), "vary": f"cookie, {LIVE}"}
        return Response(text, status, headers, media_type="text/html")


def _tag(text: str) -> str:
    return f'"{sha256(text.encode()).hexdigest()[:24]}"'
