"""Connections to the metadata API: those of the pages, and apart from them those of uploads."""

from dataclasses import dataclass
from typing import Self

import httpx

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
# How long an upload waits until another one is done.
FREE_SECONDS = 5.0
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
UPLOAD_LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=2)


@dataclass(frozen=True)
class Connections:
    """Uploads last as long as somebody's line is slow: they take no connection from the pages."""

    pages: httpx.AsyncClient
    uploads: httpx.AsyncClient

    @classmethod
    def to(cls, url: str, transport: httpx.AsyncBaseTransport | None = None) -> Self:
        """Connections to the API at `url`, over a transport instead of the network if one is given."""
        clients = (
            httpx.AsyncClient(
                base_url=url,
                transport=transport,
                timeout=wait(READ_SECONDS),
                limits=limits,
                # The API is ours: no proxy of the environment stands between.
                trust_env=False,
            )
            for limits in (LIMITS, UPLOAD_LIMITS)
        )
        return cls(*clients)

    async def aclose(self) -> None:
        """Close them all."""
        await self.pages.aclose()
        await self.uploads.aclose()


def wait(seconds: float) -> httpx.Timeout:
    """So long for an answer, less for a connection."""
    return httpx.Timeout(seconds, connect=CONNECT_SECONDS, pool=min(seconds, FREE_SECONDS))
