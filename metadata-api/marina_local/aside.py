"""The folder outside the data folder, for what Postgres' user must reach when the data folder is closed to it."""

import hashlib
import os
import shutil
from pathlib import Path

PARENT = Path("/var/lib")
NOTE = "home"


def of(home: Path) -> Path:
    """The one that belongs to this data folder alone: its name comes from that one's path."""
    name = f"marina-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}"
    return PARENT / name


def make(home: Path) -> Path:
    """Make it, with a note of the data folder that it belongs to; others get through but cannot look around."""
    folder = of(home)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    (folder / NOTE).write_text(f"{home}\n")
    return folder


def copy(folders: list[Path], root: Path, target: Path) -> None:
    """Copy folders below `root` to the same places below `target`, readable for everybody; all or nothing."""
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for folder in folders:
        shutil.copytree(folder, part / folder.relative_to(root), symlinks=True)
    for path in [part, *part.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    part.rename(target)
