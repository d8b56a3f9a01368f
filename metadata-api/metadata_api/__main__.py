"""`python -m metadata_api` serves the API on the host and port of its settings."""

import gc
import logging
import os
import sys
from typing import Any

import uvicorn
from pydantic import ValidationError

from metadata_api.app import create_app
from metadata_api.deploying.kserve.config import Unreadable
from metadata_api.settings import Settings
from serving_runtime.connection import CoalescedHttpProtocol

# Requests that are being answered when a stop is requested get this long.
DRAIN_SECONDS = 8
OPTIONS: dict[str, Any] = {
    "http": CoalescedHttpProtocol,
    "log_level": "warning",
    "access_log": False,
    # uvicorn would believe X-Forwarded-For of whoever sends from this machine, and the audit log says where from.
    "forwarded_allow_ips": [],
}
"""How uvicorn serves the API. Its connection adds the security headers to every response."""
# Separated by commas: the proxies whose X-Forwarded-For is believed.
PROXIES = "FORWARDED_ALLOW_IPS"


def main() -> int:
    """Serve until SIGTERM or SIGINT; exit code 2 with one line when the settings cannot be used."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings()
        app = create_app(settings)
    except (ValidationError, Unreadable) as error:
        sys.stderr.write(f"the settings cannot be used: {_line(error)}\n")
        return 2
    gc.collect()
    gc.freeze()  # what is imported stays: to look through it again would hold up every request for 10 ms and more
    options = {**OPTIONS, "timeout_graceful_shutdown": DRAIN_SECONDS}
    if proxies := os.environ.get(PROXIES):
        options["forwarded_allow_ips"] = proxies
    uvicorn.run(app, host=settings.host, port=settings.port, **options)
    return 0


def _line(error: ValidationError | Unreadable) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    found = (f"{'.'.join(map(str, item['loc']))} {item['msg']}".strip() for item in error.errors())
    return "; ".join(found)


if __name__ == "__main__":
    sys.exit(main())
