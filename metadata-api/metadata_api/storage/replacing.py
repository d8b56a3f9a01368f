"""Replaces a file that another process reads."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Write through a new name, so that a reader never meets half a file; closed to other users."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    os.replace(new, path)
