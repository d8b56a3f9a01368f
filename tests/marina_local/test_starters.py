"""What is trained beside the running system is told as it comes, also what takes the place of an older archive."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marina_local import starters
from marina_local.settings import LocalSettings


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starters, "LOOK_SECONDS", 0.01)


def archive(settings: LocalSettings, name: str, content: str) -> Path:
    """An archive as the trainer writes it: whole, in the place of the one before."""
    path = settings.models_dir / name / f"{name}.mar"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_text(content)
    os.replace(path.with_suffix(".new"), path)
    return path


def test_archives_are_told_as_they_come_and_again_when_they_change(settings: LocalSettings) -> None:
    async def run() -> list[list[str]]:
        archive(settings, "old", "1")
        archive(settings, "stale", "1")
        over = asyncio.Event()
        under_way = asyncio.create_task(_end(over))
        found: AsyncIterator[list[Path]] = starters.changes(settings, under_way)
        told = [names(await anext(found))]
        archive(settings, "new", "1")
        told.append(names(await anext(found)))
        archive(settings, "stale", "2")  # of the same length
        told.append(names(await anext(found)))
        archive(settings, "last", "1")
        over.set()
        told += [names(one) async for one in found]
        return told

    assert asyncio.run(run()) == [["old", "stale"], ["new"], ["stale"], ["last"]]


def test_nothing_is_told_where_nothing_is_trained(settings: LocalSettings) -> None:
    async def run() -> list[list[Path]]:
        over = asyncio.Event()
        over.set()
        return [one async for one in starters.changes(settings, asyncio.create_task(_end(over)))]

    assert asyncio.run(run()) == []


async def _end(over: asyncio.Event) -> int:
    await over.wait()
    return 0


def names(archives: list[Path]) -> list[str]:
    return [path.stem for path in archives]
