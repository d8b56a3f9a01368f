"""Waiting for what happens elsewhere, always with a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
SECONDS = 10.0
PAUSE_SECONDS = 0.02


def until(
    look: Callable[[], T | None],
    what: str | Callable[[], str] = "it happens",
    seconds: float = SECONDS,
    pause: float = PAUSE_SECONDS,
) -> T:
    """Look again and again until there is something to see; AssertionError when it is not there in time."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(_late(what, seconds))
        time.sleep(pause)
    return found


async def until_async(
    look: Callable[[], T | None], what: str | Callable[[], str] = "it happens", seconds: float = SECONDS
) -> T:
    """The same for a test that runs in an event loop."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(_late(what, seconds))
        await asyncio.sleep(PAUSE_SECONDS)
    return found


def _late(what: str | Callable[[], str], seconds: float) -> str:
    return f"not within {seconds:g} s: {what if isinstance(what, str) else what()}"
