"""Whether the ports that Marina wants are free; the launcher asks before it starts anything."""

import asyncio
import socket
import time

from marina_local.errors import Unusable
from marina_local.settings import LocalSettings

LOOK_SECONDS = 0.1
# A service that was killed with its launcher may need a moment to let go of its port.
PATIENCE_SECONDS = 3.0
NAMES = {"ui": "the UI", "api": "the API", "serving": "the v2 endpoint", "postgres": "Postgres"}


async def check_ports(settings: LocalSettings, seconds: float = PATIENCE_SECONDS) -> None:
    """Raise Unusable for the first port that another program uses, or that two services are to share."""
    end = time.monotonic() + seconds
    seen: dict[int, str] = {}
    for service, port in settings.ports.items():
        if port in seen:
            raise Unusable(
                f"{NAMES[seen[port]]} and {NAMES[service]} cannot both have port {port}: change one"
            )
        seen[port] = service
        while not _free(port):
            if time.monotonic() > end:
                variable = f"MARINA_{service.upper()}_PORT"
                raise Unusable(
                    f"port {port} for {NAMES[service]} is taken by another program: "
                    f"stop that, or choose another, such as make up {variable}={port + 1}"
                )
            await asyncio.sleep(LOOK_SECONDS)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As every server of ours does: connections that have just been closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise Unusable(f"port {port} may only be used by root: choose one above 1023") from error
        except OSError:
            return False
    return True
