"""The routes of Gradio that its page uses; all others are closed. Asked by `guard.Guard` and `shell.workbench`."""

PAGES = frozenset(
    ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt", "/gradio_api/run/predict")
)
PREFIXES = ("/assets/", "/static/")


def are(path: str) -> bool:
    """Whether a path is one of them."""
    return path in PAGES or path.startswith(PREFIXES)
