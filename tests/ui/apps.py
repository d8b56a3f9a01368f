"""The UI's applications for tests. Gradio takes seconds to import, so only a process which makes one imports it."""

from model_ui.asgi import App
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings


def create_app(settings: Settings, client: MetadataClient | None = None) -> App:
    """The whole UI."""
    from model_ui import app

    return app.create_app(settings, client)


def mount_pages(settings: Settings, client: MetadataClient) -> App:
    """Its pages without what guards them."""
    from model_ui import app

    return app.mount(app.build_ui(client, settings), settings, client)


def protect(pages: App, settings: Settings, client: MetadataClient) -> App:
    """What guards the pages, around them."""
    from model_ui import app

    return app.protect(pages, settings, client, {0: 2, 1: 1})
