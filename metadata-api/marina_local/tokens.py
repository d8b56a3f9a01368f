"""The tokens of one machine: made once, closed to other users; whoever can read `run/token` is the admin."""

import os
import secrets
from pathlib import Path

from marina_local import passwords
from marina_local.settings import LocalSettings


def ensure(settings: LocalSettings) -> None:
    """Make the files that are not there yet: the admin's token, the same as a header, and the API's own token."""
    for path in (settings.token_file, settings.serving_token_file):
        passwords.ensure(path, _new)
    header = f"Authorization: Bearer {_text(settings.token_file)}\n"
    if not settings.header_file.exists() or settings.header_file.read_text() != header:
        settings.header_file.unlink(missing_ok=True)
        with open(os.open(settings.header_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(header)


def header(settings: LocalSettings) -> dict[str, str]:
    """What a program of this folder sends to the API; nothing when it asks for no token."""
    if settings.auth == "off" or not settings.token_file.exists():
        return {}
    return {"Authorization": f"Bearer {_text(settings.token_file)}"}


def link(settings: LocalSettings) -> str:
    """The address of the UI that lets its reader in."""
    address = settings.address("ui")
    return f"{address}/?token={_text(settings.token_file)}" if settings.auth == "on" else address


def _new() -> str:
    """In the form of the API's own tokens."""
    return f"mrn_{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"


def _text(path: Path) -> str:
    return path.read_text().strip()
