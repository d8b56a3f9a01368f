"""Removes what test runs that were killed left of Postgres outside their folders."""

import asyncio
import contextlib
from pathlib import Path

from marina_local import aside, folder, postgres
from marina_local.errors import AlreadyRunning
from marina_local.settings import LocalSettings

# The folders of pytest, and those of the tests of `marina_local`.
OF_TESTS = ("pytest-of-", "marina-test-")


def found() -> dict[Path, Path]:
    """Folder of Postgres outside a data folder -> the data folder of a test run that it belongs to."""
    notes = aside.PARENT.glob(f"marina-*/{aside.NOTE}")
    homes: dict[Path, Path] = {}
    for note in notes:
        # A normal user cannot read root's, and another run may remove its own meanwhile.
        with contextlib.suppress(PermissionError, FileNotFoundError):
            homes[note.parent] = Path(note.read_text().rstrip("\n"))
    return {
        place: home
        for place, home in homes.items()
        if any(part.startswith(OF_TESTS) for part in home.parts) and place == aside.of(home)
    }


def remove() -> None:
    """Delete those that no running test holds; a postmaster that outlived its test run is ended first."""
    for home in found().values():
        settings = LocalSettings(home=home)
        try:
            if folder.holder(settings) is not None:
                continue
        except AlreadyRunning:
            continue
        asyncio.run(postgres.Postgres(settings).clear_leftovers())
        postgres.delete(settings)
