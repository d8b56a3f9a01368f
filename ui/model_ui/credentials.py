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


class CredentialCookie:
    """The cookie `marina_PORT`: named by the port, because browsers send cookies to all ports of a host."""

    def __init__(self, *, port: int, root_path: str, secure: bool) -> None:
        self._name = f"marina_{port}"
        self._attributes = f"Path={root_path or '/'}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"

    def credential(self, headers: Headers) -> Credential | None:
        """What a request carries: a bearer token that a proxy or a program adds comes before the cookie."""
        for name, value in headers:
            scheme, _, token = value.decode("latin-1").partition(" ")
            if name == b"authorization" and scheme.lower() == "bearer" and usable(token.strip()):
                return Credential(token.strip())
        for name, value in headers:
            if name == b"cookie" and (found := self._value(value.decode("latin-1"))):
                return Credential(found, from_cookie=True)
        return None

    def keep(self, token: str) -> str:
        """`Set-Cookie` that keeps a usable token until the browser is closed."""
        return f"{self._name}={token}; {self._attributes}"

    def clear(self) -> str:
        """`Set-Cookie` that deletes it."""
        return f"{self._name}=; Max-Age=0; {self._attributes}"

    def _value(self, cookies: str) -> str | None:
        for pair in cookies.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == self._name and usable(value):
                return value
        return None
