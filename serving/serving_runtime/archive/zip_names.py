"""Which names the files of an archive may have: the same on every system, and never two for one file.

Letters and digits of any language are taken, as long as they look like what they are: no compatibility forms, no signs
that resemble `/` or `.`, no word in letters of two alphabets that look alike.
"""

import re
import unicodedata
from collections.abc import Iterable
from itertools import groupby

from serving_runtime.archive.errors import MarError

MAX_ENTRIES = 1000
MAX_NAME_BYTES = 255

_PORTABLE = re.compile(r"[ !#-)+-.0-9;=@-Z\[\]^-{}~]+")
_CATEGORIES = frozenset(("Ll", "Lu", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"))
_LOOK_ALIKE = frozenset(("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"))


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
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise MarError("bad_name", f"{shown} must have 1 to {MAX_NAME_BYTES} bytes. Rename the file.")
    for part in name.split("/"):
        if not part or part != part.strip(" ") or part.endswith("."):
            raise MarError(
                "bad_name", f"{shown} leads out of its folder or is not portable. Rename the file."
            )
        if not _PORTABLE.fullmatch(part) and not _is_plain_text(part):
            raise MarError("bad_name", f"{shown} has characters that are not portable. Rename the file.")


def check_names(files: set[str], folders: set[str]) -> None:
    """Reject names that are one on some systems, or a file and a folder at once. Raises MarError."""
    known: dict[str, str] = {}
    for name in sorted(files):
        other = known.setdefault(_folded(name), name)
        if other != name:
            raise MarError(
                "duplicate_name",
                f"{_shown(other)} and {_shown(name)} are one name on some systems. Rename one of them.",
            )
    for name in files | folders:
        parts = _folded(name).split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + (name in folders))]
        clash = next((folder for folder in above if folder in known), None)
        if clash:
            raise MarError(
                "duplicate_name", f"{_shown(known[clash])} is a file and a folder. Rename one of them."
            )


def _is_plain_text(part: str) -> bool:
    """Whether a name with other characters than ASCII is one that people read as it is."""
    others = "".join(char for char in part if not char.isascii())
    if unicodedata.normalize("NFKC", part) != unicodedata.normalize("NFC", part):
        return False
    if not all(unicodedata.category(char) in _CATEGORIES for char in others):
        return False
    ascii_part = "".join(char for char in part if char.isascii())
    if ascii_part and not _PORTABLE.fullmatch(ascii_part):
        return False
    words = ["".join(found) for is_word, found in groupby(part, str.isalpha) if is_word]
    return all(len(_LOOK_ALIKE & set(map(_script, word))) <= 1 for word in words)


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)
