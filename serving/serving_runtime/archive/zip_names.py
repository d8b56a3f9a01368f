"""Which names the files of an archive may have: the same on every system, and never two for one file."""

import re
from collections.abc import Iterable

from serving_runtime.archive.errors import MarError

MAX_ENTRIES = 1000
MAX_NAME_BYTES = 255

_PORTABLE = re.compile(r"[ !#-)+-.0-9;=@-Z\[\]^-{}~]+")


def check_new_names(names: Iterable[str]) -> None:
    """Reject names that `zip_reader.open_zip` would reject. Raises MarError."""
    files = list(names)
    for name in files:
        check_name(name)
    if len(files) > MAX_ENTRIES:
        raise MarError("too_many_files", f"There are {len(files)} files; at most {MAX_ENTRIES} are accepted.")
    check_names(set(files), set())


def check_name(name: str) -> None:
    """Reject a name that another system reads differently, or that leads out of its folder. Raises MarError."""
    shown = ascii(name[:80])
    if not name or len(name) > MAX_NAME_BYTES:
        raise MarError("bad_name", f"{shown} must have 1 to {MAX_NAME_BYTES} characters. Rename the file.")
    for part in name.split("/"):
        if not part or part != part.strip(" ") or part.endswith("."):
            raise MarError(
                "bad_name", f"{shown} leads out of its folder or is not portable. Rename the file."
            )
        if not _PORTABLE.fullmatch(part):
            raise MarError("bad_name", f"{shown} has characters that are not portable. Rename the file.")


def check_names(files: set[str], folders: set[str]) -> None:
    """Reject names that are one on some systems, or a file and a folder at once. Raises MarError."""
    known: dict[str, str] = {}
    for name in sorted(files):
        other = known.setdefault(name.lower(), name)
        if other != name:
            raise MarError("duplicate_name", f"{other} and {name} differ by case only. Rename one of them.")
    for name in files | folders:
        parts = name.lower().split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + (name in folders))]
        clash = next((folder for folder in above if folder in known), None)
        if clash:
            raise MarError("duplicate_name", f"{known[clash]} is a file and a folder. Rename one of them.")
