"""A visitor's credential: what it may look like, where a request carries it, and the cookie that keeps it.

The cookie's value is the credential itself: the UI keeps no sessions, so a restart or another replica of it logs nobody
out, and what the API revokes is gone everywhere. See docs/adr/0034-login-of-the-ui.md.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

# A browser drops a cookie whose name and value are longer than 4,096 bytes together.
MAX_LENGTH = 4000
# What RFC 6750 allows in a header; none of it needs quotes in a cookie.
SHAPE = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_PASTED = re.compile(r"(?:authorization:\s*)?bearer\s+", re.IGNORECASE)

# Cookies of ours that carry no credential: the pages may read them.
_OPEN_COOKIES = ("marina_theme", "marina_status_")

Headers = Iterable[tuple[bytes, bytes]]


class Credential(NamedTuple):
    """A credential as it came; `from_cookie` says that our cookie carried it."""

    token: str
    from_cookie: bool = False


def usable(token: str) -> bool:
    """Whether a text can be a credential at all, so that the API is worth asking."""
    return len(token) <= MAX_LENGTH and SHAPE.fullmatch(token) is not None


def pasted(text: str) -> str:
    """The token in what someone typed or pasted, which may be a whole header."""
    text = text.strip()
    match = _PASTED.match(text)
    return text[match.end() :].strip() if match else text


def without(headers: Headers) -> list[tuple[bytes, bytes]]:
    """A request's headers as the pages see them: no credential, and no cookies but those that choose how they look."""
    kept = [pair for pair in headers if pair[0] not in (b"authorization", b"cookie")]
    cookies = [
        part.strip()
        for key, value in headers
        if key == b"cookie"
        for part in value.decode("latin-1").split(";")
    ]
    shown = "; ".join(cookie for cookie in cookies if cookie.startswith(_OPEN_COOKIES))
    return [*kept, (b"cookie", shown.encode("latin-1"))] if shown else kept


class CredentialCookie:
    """The cookies `marina_PORT` and, during a login at a provider, `marina_login_PORT`.

    They are named by the port, because browsers send cookies to all ports of a host. Behind https, at the root of a
    host, `__Host-` stands before the names: then no other host of the domain can set them.
    """

    def __init__(self, *, port: int, root_path: str, secure: bool) -> None:
        prefix = "__Host-" if secure and not root_path else ""
        self._name = f"{prefix}marina_{port}"
        self._attempt = f"{prefix}marina_login_{port}"
        common = f"Path={root_path or '/'}; HttpOnly{'; Secure' if secure else ''}"
        self._attributes = f"{common}; SameSite=Strict"
        # The provider, another site, sends the browser back.
        self._attempt_attributes = f"{common}; SameSite=Lax"

    def credential(self, headers: Headers) -> Credential | None:
        """What a request carries: a bearer token that a proxy or a program adds comes before the cookie."""
        for name, value in headers:
            scheme, _, token = value.decode("latin-1").partition(" ")
            if name == b"authorization" and scheme.lower() == "bearer" and usable(token.strip()):
                return Credential(token.strip())
        found = _value(headers, self._name)
        return Credential(found, from_cookie=True) if found else None

    def keep(self, token: str) -> str:
        """`Set-Cookie` that keeps a usable token until the browser is closed."""
        return f"{self._name}={token}; {self._attributes}"

    def clear(self) -> str:
        """`Set-Cookie` that deletes it."""
        return f"{self._name}=; Max-Age=0; {self._attributes}"

    def attempt(self, headers: Headers) -> str:
        """The sealed attempt of a login at a provider that this browser began; empty for none."""
        return _value(headers, self._attempt) or ""

    def keep_attempt(self, sealed: str, seconds: int) -> str:
        """`Set-Cookie` that keeps an attempt for so long."""
        return f"{self._attempt}={sealed}; Max-Age={seconds}; {self._attempt_attributes}"

    def clear_attempt(self) -> str:
        """`Set-Cookie` that deletes it: each is used once."""
        return f"{self._attempt}=; Max-Age=0; {self._attempt_attributes}"


def _value(headers: Headers, wanted: str) -> str | None:
    """The first usable value of a cookie."""
    for key, cookies in headers:
        if key != b"cookie":
            continue
        for pair in cookies.decode("latin-1").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted and usable(value):
                return value
    return None
