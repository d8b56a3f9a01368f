"""What an action came to, told once on the page that follows: a message, a link, and what undoes it.

It travels in a cookie of some seconds, because the answer to a form is a redirect; nothing of it is trusted as markup,
and it leads only to pages of ours. Any server on another port of this host can set such a cookie, and its undo is a
form: so it is sealed with the visitor's credential, which only the visitor and we have.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model_ui.addresses import inside

SECONDS = 30
MOST_BYTES = 3500
Kind = Literal["ok", "warn", "bad"]


class Undo(BaseModel):
    """The form that takes an action back: where it is posted, and its fields, of which `do` names the action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    fields: dict[str, str]


class Status(BaseModel):
    """A message; `href` is an address below the root path that `link` leads to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(max_length=1500)
    kind: Kind = "ok"
    link: str = ""
    href: str = ""
    undo: Undo | None = None


class StatusCookie:
    """The cookie `marina_status_PORT`."""

    def __init__(self, *, port: int, root_path: str, secure: bool) -> None:
        self.name = f"marina_status_{port}"
        self._attributes = f"Path={root_path or '/'}; HttpOnly{'; Secure' if secure else ''}; SameSite=Strict"

    def keep(self, status: Status, token: str | None) -> str:
        """`Set-Cookie` that keeps a message for the next page; what undoes it is left out when it is too long.

        `token` is the visitor's; None where the API wants none.
        """
        value = _written(status)
        if len(value) > MOST_BYTES:
            value = _written(status.model_copy(update={"undo": None, "text": status.text[:800]}))
        return f"{self.name}={_seal(value, token)}.{value}; Max-Age={SECONDS}; {self._attributes}"

    def clear(self) -> str:
        """`Set-Cookie` that deletes it."""
        return f"{self.name}=; Max-Age=0; {self._attributes}"

    def read(self, cookie: str | None, token: str | None) -> Status | None:
        """The message in a cookie's value; None for anything else, and for one that was made for another visitor."""
        seal, _, value = (cookie or "").partition(".")
        if len(value) > MOST_BYTES or not hmac.compare_digest(seal.encode(), _seal(value, token).encode()):
            return None
        try:
            found = Status.model_validate_json(base64.urlsafe_b64decode(value))
        except (ValidationError, binascii.Error, ValueError):
            return None
        undo = found.undo and found.undo.model_copy(update={"address": inside(found.undo.address)})
        return found.model_copy(update={"href": inside(found.href) if found.href else "", "undo": undo})


def _seal(value: str, token: str | None) -> str:
    return hmac.digest((token or "").encode(), b"status " + value.encode(), hashlib.sha256).hex()


def _written(status: Status) -> str:
    return base64.urlsafe_b64encode(status.model_dump_json(exclude_defaults=True).encode()).decode()
