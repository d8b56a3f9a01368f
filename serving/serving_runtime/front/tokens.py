"""Who may ask this server: bearer tokens, checked against a file of their hashes, with no network and before any body.

The metadata API writes the file, on Kubernetes through a Secret. It is looked at again at most twice a second, so that
a revoked token is soon rejected; a file that cannot be read leaves the last one in force, and none lets nobody in.
"""

import hashlib
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from serving_runtime.contracts import ErrorCode, Role
from serving_runtime.hosts import Rejection
from serving_runtime.watched_file import WatchedFile

LOOK_SECONDS = 0.5
MOST_ALLOWED = 1000
_HOW = "Send a token in the header `Authorization: Bearer TOKEN`."

_log = logging.getLogger(__name__)


class _Grant(NamedTuple):
    role: Role
    models: frozenset[str] | None
    expires_at: float | None
    path: str | None
    """The one address that it is for; None for all that the role may ask."""


class Tokens:
    """The tokens of a file, by the sha256 of their text.

    A hash is looked up as it is: it says nothing about a token that somebody tries, so nothing leaks by the time that
    this takes. Nor does it by the table of who was let in: Python's hash of bytes has a secret key.
    """

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path, _read)
        self._grants: Mapping[str, _Grant] = {}
        # Who was let in to which path, and until when: nearly every request is like one before it.
        self._allowed: dict[tuple[bytes | str, ...], float] = {}
        self._look_at = 0.0
        self._complained = False
        self._refresh()

    def rejection(self, scope: Mapping[str, Any], parts: Sequence[str]) -> Rejection | None:
        """Why a request is not answered, None when it is; `parts` are the elements of its path."""
        self._refresh()
        tokens = [value for name, value in scope["headers"] if name == b"authorization"]
        asked = (*tokens, *parts)
        if self._allowed.get(asked, 0.0) > time.time() or _is_health(scope, parts):
            return None
        scheme, _, token = tokens[0].partition(b" ") if tokens else (b"", b"", b"")
        if not tokens:
            return Rejection(401, ErrorCode.UNAUTHENTICATED, f"this needs a credential. {_HOW}")
        grant = self._grants.get(hashlib.sha256(token).hexdigest()) if scheme.lower() == b"bearer" else None
        if grant is None or len(tokens) > 1:
            return Rejection(401, ErrorCode.UNAUTHENTICATED, f"the token is unknown or was revoked. {_HOW}")
        if grant.expires_at is not None and grant.expires_at <= time.time():
            return Rejection(
                401, ErrorCode.UNAUTHENTICATED, "the token has expired. Ask an admin for another."
            )
        rejection = _too_little(grant, parts)
        if rejection is None:
            self._allow(asked, grant)
        return rejection

    def _allow(self, asked: tuple[bytes | str, ...], grant: _Grant) -> None:
        if len(self._allowed) >= MOST_ALLOWED:
            self._allowed.clear()
        self._allowed[asked] = math.inf if grant.expires_at is None else grant.expires_at

    def _refresh(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        try:
            grants = self._file.changed()
            if grants is not None:
                self._grants, self._allowed = grants, {}
                _log.info("%d tokens are known", len(grants))
            self._complained = False
        except (OSError, ValueError, KeyError, TypeError) as error:
            if not self._complained:
                _log.warning("%s is not read: %s; the tokens of before stay", self._file.path, error)
            self._complained = True


def _read(content: bytes) -> dict[str, _Grant]:
    return {
        token["sha256"]: _Grant(
            Role(token["role"]),
            None if token["models"] is None else frozenset(token["models"]),
            token["expires_at"],
            token.get("path"),
        )
        for token in orjson.loads(content)["tokens"]
    }


def _is_health(scope: Mapping[str, Any], parts: Sequence[str]) -> bool:
    if scope["method"] not in ("GET", "HEAD"):
        return False
    return parts[:2] == ["v2", "health"] or (parts[:2] == ["v2", "models"] and parts[3:][-1:] == ["ready"])


def _too_little(grant: _Grant, parts: Sequence[str]) -> Rejection | None:
    if grant.path is not None and grant.path != "/" + "/".join(parts):
        detail = f"the token is for {grant.path} and nothing else. Ask an admin for another."
        return Rejection(403, ErrorCode.FORBIDDEN, detail)
    about_model = parts[:2] == ["v2", "models"] and len(parts) > 3
    needed = Role.ANNOTATOR if about_model and parts[-1] == "infer" else Role.VIEWER
    if not grant.role.includes(needed):
        detail = f"this needs the role {needed}; the token has {grant.role}. Ask an admin for it."
        return Rejection(403, ErrorCode.FORBIDDEN, detail)
    if needed is Role.ANNOTATOR and grant.models is not None and parts[2] not in grant.models:
        return Rejection(
            403, ErrorCode.FORBIDDEN, "the token is limited to other models. Ask an admin for another."
        )
    return None
