"""`python -m metadata_api` serves the API on the host and port of its settings."""

import gc
import logging
import math
import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from pydantic import ValidationError

from metadata_api.app import create_app
from metadata_api.deploying.base import WAY_SECONDS
from metadata_api.routes.dependencies import Components
from metadata_api.settings import Settings
from serving_runtime.bounded_http import KEPT_SECONDS, allow_many_connections
from serving_runtime.connection import CoalescedHttpProtocol

# As uvicorn's own program ends when it cannot listen.
STARTUP_FAILURE = 3
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
    config = uvicorn.Config(
        app, host=settings.host, port=settings.port, **{**OPTIONS, **believing(settings.trusted_proxies)}
    )
    server = DrainingServer(config, app.state.components)
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it has ended well
        server.run()
    return 0 if server.started else STARTUP_FAILURE


class DrainingServer(uvicorn.Server):
    """Stops once what is being answered has been, or could not be any more."""

    def __init__(self, config: uvicorn.Config, components: Components) -> None:
        super().__init__(config)
        self._components = components

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, with the time that is right now."""
        self.config.timeout_graceful_shutdown = drain_seconds(self._components)
        await super().shutdown(sockets)


def drain_seconds(of: Components) -> int:
    """How long requests that are being answered get: as long as a running deployment may take, up to the setting."""
    limits = of.settings.max
    table = of.routes.last
    longest = table.longest_seconds(limits.response_seconds) if table else limits.response_seconds
    return math.ceil(min(longest + WAY_SECONDS, limits.drain_seconds))


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
