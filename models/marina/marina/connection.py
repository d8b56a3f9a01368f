"""Where the API is and which token it gets: from options, the environment, or the Marina of this machine."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from marina.errors import Failure, WrongUse

USUAL_PORT = 8000


@dataclass(frozen=True)
class Connection:
    """An address without a slash at its end, and a token, None where callers need none."""

    url: str
    token: str | None
    is_local: bool
    """Whether it is the Marina of this machine's data folder."""


def find(url: str | None, token_file: Path | None, environment: Mapping[str, str] = os.environ) -> Connection:
    """The connection that a command uses.

    The address is `url`, MARINA_URL, or that of the Marina which runs on this machine's data folder. The token is in
    `token_file` or MARINA_TOKEN; the one of the data folder is sent to its own API only. Raises Failure, WrongUse.
    """
    home = home_of(environment)
    local = _local_url(home, environment)
    given = url or environment.get("MARINA_URL")
    if not given and local is None:
        raise WrongUse(
            "no Marina is known: set MARINA_URL to its address and MARINA_TOKEN to your token, "
            "or start one here by `make up`"
        )
    chosen = _checked(given or local or "")
    is_local = local is not None and _same(chosen, local)
    return Connection(chosen, _token(token_file, environment, home if is_local else None), is_local)


def home_of(environment: Mapping[str, str]) -> Path:
    """The data folder: MARINA_HOME, else the one beside the virtual environment that this program runs in."""
    given = environment.get("MARINA_HOME")
    # Never one that happens to be above the current folder: whoever made it would choose where uploads go.
    return Path(given).expanduser() if given else Path(sys.prefix).parent / ".marina"


def _local_url(home: Path, environment: Mapping[str, str]) -> str | None:
    """Address of the API that runs on a data folder, or would; None when there is no such folder."""
    if not os.path.isdir(home / "run"):  # False, too, where it is closed to us
        return None
    if port := environment.get("MARINA_API_PORT"):
        return f"http://127.0.0.1:{port}"
    try:
        found = json.loads((home / "run" / "launcher.lock").read_text())["api"]
        return str(found)
    except (OSError, ValueError, KeyError, TypeError):
        return f"http://127.0.0.1:{USUAL_PORT}"


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise WrongUse(f"{url!r} is no address: write it like http://127.0.0.1:{USUAL_PORT}")
    return url.rstrip("/").removesuffix("/v1")


def _same(one: str, other: str) -> bool:
    """Whether two addresses are of the same server, if one names it localhost."""
    ends = [(urlsplit(url).hostname or "", urlsplit(url).port) for url in (one, other)]
    return len({("127.0.0.1" if host == "localhost" else host, port) for host, port in ends}) == 1


def _token(token_file: Path | None, environment: Mapping[str, str], home: Path | None) -> str | None:
    """The token, without a line break at its end."""
    found, source = environment.get("MARINA_TOKEN", ""), "MARINA_TOKEN"
    if token_file is not None:
        found, source = _read(token_file), str(token_file)
    elif not found and home is not None and os.path.exists(home / "run" / "token"):
        found, source = _read(home / "run" / "token"), str(home / "run" / "token")
    found = found.strip()
    if not (found.isascii() and found.isprintable() and " " not in found):
        raise WrongUse(f"{source} has characters that no token has: copy the token again")
    return found or None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except PermissionError as error:
        raise Failure(f"{path} belongs to someone else: set MARINA_TOKEN to a token of your own") from error
    except (OSError, UnicodeError) as error:
        raise WrongUse(f"{path} cannot be read as a token: name another file") from error
