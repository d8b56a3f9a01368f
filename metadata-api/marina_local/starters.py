"""The starter experiments of one machine: trained beside the running system, told one by one; `launcher` calls it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from marina_local import services
from marina_local.process import run
from marina_local.settings import LocalSettings

LOOK_SECONDS = 0.5
# What tells one content of a file from another: its inode, its time and its size. Archives are replaced as a whole.
Content = tuple[int, int, int]


@asynccontextmanager
async def training(settings: LocalSettings) -> AsyncIterator[asyncio.Task[int]]:
    """Train what is missing or has changed, on the terminal because of the progress bars; the task gives the exit code.

    The training ends with the block, and with it the file that says how far it is.
    """
    settings.training_file.unlink(missing_ok=True)  # of a launcher that was killed
    task = asyncio.create_task(run(services.training(settings, beside=True), None), name="training")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        settings.training_file.unlink(missing_ok=True)


async def changes(settings: LocalSettings, under_way: asyncio.Task[int]) -> AsyncIterator[list[Path]]:
    """First all archives there are, then those that are new or another, until the training is over."""
    known: dict[Path, Content] = {}
    is_over = False
    while not is_over:
        is_over = under_way.done()
        found = archives(settings)
        changed = [path for path, content in found.items() if content != known.get(path)]
        known = found
        if changed:
            yield sorted(changed)
        if not is_over:
            await asyncio.wait({under_way}, timeout=LOOK_SECONDS)


def archives(settings: LocalSettings) -> dict[Path, Content]:
    """The trained archives, and what tells their content from another."""
    found = {}
    for path in settings.models_dir.rglob("*.mar"):
        stat = path.stat()
        found[path] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found
