"""What a page is: its address, what shows it, and what its forms do; declared by the modules of `pages`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.datastructures import FormData
from starlette.responses import Response

if TYPE_CHECKING:
    from model_ui.shell.visit import Visit

Show = Callable[["Visit"], Awaitable[Response]]
Act = Callable[["Visit", FormData], Awaitable[Response]]
# Room for notes and for many names; uploads say their own.
FORM_BYTES = 256 * 1024


@dataclass(frozen=True)
class Page:
    """One address. Its forms are posted to it with the field `do`, the name of one of its `actions`.

    `path` is one segment; `pretty` is how people write it with a name in the path, such as `/experiments/{name}`, and
    is redirected to `path?name=`. `most_bytes` is the size of the largest form.
    """

    path: str
    show: Show
    actions: Mapping[str, Act] = field(default_factory=dict)
    pretty: str = ""
    most_bytes: int = FORM_BYTES
