"""Puts the layers together: `build_ui(client)` is Gradio's page, `create_app(settings)` the server of all pages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from model_ui import assets, training, uploads
from model_ui.api_connection import LIMITS
from model_ui.api_errors import ApiError, ApiRejected
from model_ui.archives import Archives
from model_ui.asgi import App
from model_ui.authentication import Authenticator, visitor_of
from model_ui.bodies import BodyGuard
from model_ui.build import build_id
from model_ui.credentials import CredentialCookie
from model_ui.gradio_pages import try_it
from model_ui.gradio_pages.problems import problem
from model_ui.guard import Guard
from model_ui.login import Login
from model_ui.metadata_client import MetadataClient
from model_ui.metrics import Measured, MeasuredTransport, Metrics
from model_ui.oidc import OidcLogin
from model_ui.pages import ALL, PATHS
from model_ui.render.services import banner
from model_ui.settings import Settings
from model_ui.shell.status import StatusCookie
from model_ui.shell.visit import Frame
from model_ui.shell.workbench import Workbench
from model_ui.theme import theme

HEAD = '<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
# Answers from this size on are compressed.
COMPRESSED_BYTES, LEVEL = 600, 6
# The page's own script says when something has changed, maybe before this part is there.
PULSE = """const refresh = () => trigger("submit");
document.addEventListener("marina:refresh", refresh);
if ("changed" in document.body.dataset) refresh();"""


def create_app(
    settings: Settings | None = None, client: MetadataClient | None = None, metrics: Metrics | None = None
) -> App:
    """The UI as an ASGI application; without settings they come from the environment."""
    settings, metrics = settings or Settings(), metrics or Metrics()
    client = client or MetadataClient(settings.api_url, transport=_network(metrics))
    uploads.prepare(settings.upload_dir)
    page = build_ui(client, settings)
    events = {number: len(event.inputs) for number, event in page.fns.items()}
    app = protect(mount(page, settings, client), settings, client, events)
    return Measured(app, metrics, settings.root_path)


def _network(metrics: Metrics) -> MeasuredTransport:
    # The API is ours: no proxy of the environment stands between.
    return MeasuredTransport(httpx.AsyncHTTPTransport(limits=LIMITS, trust_env=False), metrics)


def protect(pages: App, settings: Settings, client: MetadataClient, events: Mapping[int, int]) -> App:
    """The layers around the pages, from the outside: own hosts and routes, known visitors, bounded bodies.

    `events` are those of Gradio's page, as `bodies.BodyGuard` has them.
    """
    root = settings.root_path
    secure = settings.public_url.startswith("https://")
    workbench = GZipMiddleware(
        Workbench(BodyGuard(pages, events), ALL, _frame(settings, client)), COMPRESSED_BYTES, LEVEL
    )
    login = Login(
        Archives(workbench, client, max_bytes=settings.max_archive_bytes),
        Authenticator(client),
        CredentialCookie(port=settings.port, root_path=root, secure=secure),
        root_path=root,
        hint=settings.login_hint,
        oidc=OidcLogin(settings) if settings.oidc_issuer else None,
    )
    return Guard(
        login,
        root_path=root,
        allowed_hosts=settings.allowed_hosts,
        public_url=settings.public_url,
        pages=PATHS,
    )


def _frame(settings: Settings, client: MetadataClient) -> Frame:
    """What our own pages share."""
    root, secure = settings.root_path, settings.public_url.startswith("https://")
    status = StatusCookie(port=settings.port, root_path=root, secure=secure)
    return Frame(
        client,
        root,
        settings.public_api_url.rstrip("/"),
        status,
        training_file=settings.training_file,
        archive_bytes=settings.max_archive_bytes,
        build=build_id(),
        refresh_seconds=settings.refresh_seconds,
    )


def mount(page: gr.Blocks, settings: Settings, client: MetadataClient) -> FastAPI:
    """The page as Gradio serves it, without the layers before them; `uploads.prepare` comes first."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        root_path=settings.root_path or None,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=True,
        theme=theme(),
        css=assets.styles(),
        js=assets.text("page.js"),
        head=HEAD,
    )
    # Only launch() sets this, and without it Gradio takes any file that a request names for an uploaded one.
    page.has_launched = True
    return app


def build_ui(client: MetadataClient, settings: Settings) -> gr.Blocks:
    """Gradio's page, Try; its script says when something has changed, and then it is refreshed.

    No event has a queue and nothing is a gr.State: each event is one request that any process of the UI can answer.
    """
    page: gr.Blocks
    with gr.Blocks(title="Try · Marina", analytics_enabled=False, fill_width=True) as page:
        alarm = gr.HTML("", js_on_load=None, apply_default_css=False, elem_id="alarm", elem_classes="m-maybe")
        # Its value is what the page has been given: tags of the tasks and of the visitor.
        pulse = gr.HTML(
            "", html_template="", js_on_load=PULSE, apply_default_css=False, elem_classes="m-maybe"
        )
        trying = try_it.build(client, deadline_ms=settings.deadline_ms, training_file=settings.training_file)
        gr.on(
            [page.load, pulse.submit],
            _refresh(client, settings.training_file),
            inputs=pulse,
            outputs=[alarm, pulse, trying.asking, trying.chosen, *trying.parts],
            trigger_mode="always_last",
            show_progress="hidden",
            api_visibility="private",
            queue=False,
        )
    return page


def _refresh(client: MetadataClient, training_file: Path | None) -> Callable[..., Awaitable[tuple[Any, ...]]]:
    """What changes by itself: the deployments, who the visitor is, and whether the API is there at all."""

    async def refresh(known: Any, request: gr.Request) -> tuple[Any, ...]:
        visitor = visitor_of(request)
        tasks, _, who = str(known or "").partition(" ")
        seen = _tag(visitor.me.subject, visitor.me.role, visitor.me.kind, visitor.from_cookie)
        parts = try_it.allow(visitor.me, first=who == "") if seen != who else try_it.unchanged()
        try:
            offered = await try_it.offered(visitor, client, training_file)
        except ApiError as error:
            alarm = problem(error) if isinstance(error, ApiRejected) else banner(error.detail)
            return alarm, f"{tasks} {seen}", gr.skip(), gr.skip(), *parts
        trained = training.line(training_file)
        tag = _tag(*offered)
        shown = (gr.skip(), gr.skip()) if tag == tasks else try_it.offer(offered)
        return training.said(trained), f"{tag} {seen}", *shown, *parts

    return refresh


def _tag(*values: object) -> str:
    """A short name of what these values are."""
    return sha256(repr(values).encode()).hexdigest()[:16]
