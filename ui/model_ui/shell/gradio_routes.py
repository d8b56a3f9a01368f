"""The routes of Gradio that its page uses; all others are closed. Asked by `guard.Guard` and `shell.workbench`."""

from model_ui.bodies import UPLOAD

PAGES = frozenset(("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt"))
PREFIXES = (
    "/assets/",
    "/static/",
    "/gradio_api/queue/",
    "/gradio_api/heartbeat/",
    "/gradio_api/upload_progress",
    "/gradio_api/startup-events",
    "/gradio_api/info",
    "/gradio_api/reset",
    "/gradio_api/cancel",
    UPLOAD,
)


def are(path: str) -> bool:
    """Whether a path is one of them."""
    return path in PAGES or path.startswith(PREFIXES)
