"""What the servers of models check by themselves: a document of hashes, and the file of it on one machine.

A server needs neither network nor database for it, so that a model answers while this API is away.
"""

import asyncio
import logging
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import orjson

from metadata_api.auth.tokens import Credential, TokenTable, digest
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import Unavailable
from metadata_api.storage.replacing import replace
from serving_runtime.contracts import Role

INTERVAL_SECONDS = 0.5
WRITE_SECONDS = 15.0
# Some hundred thousand tokens.
MAX_BYTES = 64 * 1024 * 1024

log = logging.getLogger(__name__)


def document(credentials: Iterable[Credential], own_token: str) -> bytes:
    """`{"tokens": [{sha256, role, models, expires_at, path}]}`; `own_token` is what this API sends.

    One with a `path` is good for that address alone.
    """
    every: dict[str, Any] = {"models": None, "expires_at": None, "path": None}
    tokens: list[dict[str, Any]] = [{**every, "sha256": digest(own_token), "role": Role.ADMIN}]
    for one in credentials:
        caller = one.principal
        tokens.append(
            {
                **every,
                "sha256": one.sha256,
                "role": caller.role,
                "path": caller.path,
                "models": sorted(caller.deployments) if caller.deployments is not None else None,
                "expires_at": caller.expires_at.timestamp() if caller.expires_at else None,
            }
        )
    tokens.sort(key=lambda token: str(token["sha256"]))
    return orjson.dumps({"tokens": tokens}, option=orjson.OPT_INDENT_2)


class Place(Protocol):
    """Where the servers of models look for the document."""

    look_seconds: float
    """How often somebody may look whether it is still there."""

    async def read(self) -> bytes | None:
        """What is there; None for nothing."""

    async def write(self, content: bytes) -> None:
        """Replace it."""


class ServingTokens:
    """Keeps the document in its place, whatever happens to it there.

    It is written when tokens change, and again within seconds when somebody deleted or changed it. While the database
    is away what was written before stays; where there is nothing, what is known without the database is written.
    """

    def __init__(self, place: Place, table: LiveTable[TokenTable], fixed: TokenTable, own_token: str) -> None:
        self._place = place
        self._table = table
        self._fixed = fixed
        self._own_token = own_token
        self._written: bytes | None = None
        self._look_at = 0.0
        self.problem = ""
        """Why the document is not in its place; empty while it is."""

    async def run(self) -> None:
        """Look again and again, until cancelled; what fails is tried again."""
        while True:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._look()
                self.problem = ""
            except Exception as error:
                # The edge of the task: whatever went wrong, the next time may do better.
                problem = str(error) or type(error).__name__
                if problem != self.problem:
                    log.warning("the tokens for the servers of models are not written: %s", problem)
                self.problem = problem
            await asyncio.sleep(self._place.look_seconds if self.problem else INTERVAL_SECONDS)

    async def _look(self) -> None:
        wanted = await self._wanted()
        now = time.monotonic()
        if wanted == self._written and now < self._look_at:
            return
        there = await self._place.read()
        if wanted is None and there is None:
            wanted = document(self._fixed.values(), self._own_token)
        if wanted is not None and there != wanted:
            if wanted == self._written:
                log.warning("the tokens for the servers of models were deleted or changed; written again")
            await self._place.write(wanted)
        self._written, self._look_at = wanted, now + self._place.look_seconds

    async def _wanted(self) -> bytes | None:
        """The document; None while nobody knows which tokens there are."""
        try:
            issued = await self._table.current()
        except Unavailable:
            return None
        return document([*self._fixed.values(), *issued.values()], self._own_token)


class TokensFile:
    """The document as a file of this machine, closed to other users."""

    look_seconds = INTERVAL_SECONDS

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes | None:
        """What is in the file; None without one, and nothing of what is no file. Raises OSError."""
        return await asyncio.to_thread(self._content)

    async def write(self, content: bytes) -> None:
        """Replace the file; raises OSError."""
        await asyncio.to_thread(replace, self._path, content)

    def _content(self) -> bytes | None:
        try:
            # A pipe in its place is not waited for.
            handle = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(handle, "rb", closefd=True) as file:
            found = os.fstat(handle)
            # The size, because as many bytes as are asked for are allocated, twice a second.
            return file.read(min(found.st_size, MAX_BYTES)) if stat.S_ISREG(found.st_mode) else b""
