"""Files that a command is given: read whole, up to a limit."""

from pathlib import Path

from marina.errors import WrongUse


def content(path: Path, most: int, remedy: str) -> bytes:
    """The bytes of a file; `remedy` says what to do about one that is empty or has over `most`. Raises WrongUse."""
    try:
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    if not found or len(found) > most:
        raise WrongUse(f"{path} is {'too large' if found else 'empty'}: {remedy}")
    return found
