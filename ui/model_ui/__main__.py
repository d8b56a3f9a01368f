"""`python -m model_ui`: serve the pages until told to stop; started by the launcher and by the container."""

import logging
import os

import uvicorn

from model_ui.bounded_http import KEPT_SECONDS, BoundedHttpProtocol, allow_many_connections
from model_ui.settings import Settings

# Open pages hold a connection for as long as they are open; a stop does not wait for them.
STOP_SECONDS = 3


def main() -> None:
    """Read the settings, build the pages, serve them."""
    # Gradio reads this when it is imported, which is why that happens below: nothing is reported to anybody.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from model_ui.app import create_app
    from model_ui.metrics import Metrics
    from model_ui.uploads import UnusableFolder

    settings = Settings()
    logging.getLogger("model_ui").info(
        "serving http://%s:%s%s/", settings.host, settings.port, settings.root_path
    )
    metrics = Metrics()
    if settings.metrics_port:
        metrics.serve(settings.host, settings.metrics_port)
    allow_many_connections()
    try:
        app = create_app(settings, metrics=metrics)
    except UnusableFolder as error:
        raise SystemExit(f"model_ui: {error}") from error
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        http=BoundedHttpProtocol,
        ws="none",
        timeout_keep_alive=KEPT_SECONDS,
        # Without an address nobody is believed, not even this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


if __name__ == "__main__":
    main()
