"""A document that this API writes for the servers of models, and keeps in its place whatever happens to it there.

It is written when it changes, and again within seconds when somebody deleted or changed it. A server needs neither
network nor database to read it, so that a model answers while this API is away.
"""

import asyncio
import logging
import os
import stat
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from metadata_api.storage.replacing import replace

INTERVAL_SECONDS = 0.5
WRITE_SECONDS = 15.0
# Some hundred thousand tokens.
MAX_BYTES = 64 * 1024 * 1024

log = logging.getLogger(__name__)


class Place(Protocol):
    """Where the servers of models look for the document."""

    look_seconds: float
    """How often somebody may look whether it is still there."""

    async def read(self) -> bytes | None:
        """What is there; None for nothing."""

    async def write(self, content: bytes) -> None:
        """Replace it."""


class KeptDocument(ABC):
    """Keeps a document in its place. While the database is away, what was written before stays."""

    what = "document"
    """In words, for the log."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._written: bytes | None = None
        self._look_at = 0.0
        self.problem = ""
        """Why the document is not in its place; empty while it is."""

    @abstractmethod
    async def wanted(self) -> bytes | None:
        """What shall be there; None while nobody knows it."""

    def first(self) -> bytes | None:
        """What is written where there is nothing, while nobody knows what is wanted; None for nothing."""
        return None

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
                    log.warning("%s for the servers of models are not written: %s", self.what, problem)
                self.problem = problem
            await asyncio.sleep(self._place.look_seconds if self.problem else INTERVAL_SECONDS)

    async def _look(self) -> None:
        wanted = await self.wanted()
        now = time.monotonic()
        if wanted == self._written and now < self._look_at:
            return
        there = await self._place.read()
        if wanted is None and there is None:
            wanted = self.first()
        if wanted is not None and there != wanted:
            if wanted == self._written:
                log.warning("%s for the servers of models were deleted or changed; written again", self.what)
            await self._place.write(wanted)
        self._written, self._look_at = wanted, now + self._place.look_seconds


class DocumentFile:
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
