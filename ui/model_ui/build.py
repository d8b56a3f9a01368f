"""Which build of the UI this is, so that an open page notices an update; used by `app.create_app`."""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent
KINDS = frozenset((".py", ".js", ".css", ".html"))


@cache
def build_id() -> str:
    """A hash of all that the pages are made of: the same in every process of one build, another after an update."""
    found = sha256(version("gradio").encode())
    for file in sorted(FOLDER.rglob("*")):
        if file.suffix in KINDS:
            found.update(file.relative_to(FOLDER).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()[:16]
