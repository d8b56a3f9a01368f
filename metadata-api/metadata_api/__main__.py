"""`python -m metadata_api` serves the API on the host and port of its settings."""

import gc
import logging
import sys
from typing import Any

import uvicorn
from pydantic import ValidationError

from metadata_api.app import create_app
from metadata_api.settings import Settings
from serving_runtime.bounded_http import KEPT_SECONDS, allow_many_connections
from serving_runtime.connection import CoalescedHttpProtocol

# Requests that are being answered when a stop is requested get this long.
DRAIN_SECONDS = 8
OPTIONS: dict[str, Any] = {
    "http": CoalescedHttpProtocol,
    "ws": "none",
    "timeout_keep_alive": KEPT_SECONDS,
    "log_level": "warning",
    "access_log": False,
    # Anybody can send X-Forwarded-For, so nobody is believed by default, not even this machine.
    "proxy_headers": False,
}
"""How uvicorn serves the API. Its connection adds the security headers to every response."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; exit code 2 with one line when the settings cannot be used."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings()
        app = create_app(settings)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"the settings cannot be used: {_line(error)}\n")
        return 2
    allow_many_connections()
    gc.collect()
    gc.freeze()  # what is imported stays: to look through it again would hold up every request for 10 ms and more
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        **{**OPTIONS, **believing(settings.trusted_proxies)},
    )
    return 0


def believing(proxies: str) -> dict[str, Any]:
    """Options by which uvicorn takes the client's address from these proxies; none when there are none."""
    return {"proxy_headers": True, "forwarded_allow_ips": proxies} if proxies else {}


def _line(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = (f"{'.'.join(map(str, item['loc']))} {item['msg']}".strip() for item in error.errors())
    return "; ".join(found)


if __name__ == "__main__":
    sys.exit(main())
