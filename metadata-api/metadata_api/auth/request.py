"""The request that is being answered, for what looks at every transaction and is handed none; and how logs name it."""

import re
from contextvars import ContextVar

from starlette.types import Scope

current_request: ContextVar[Scope | None] = ContextVar("current_request", default=None)
"""Its ASGI scope, in the task and in the threads that answer it; None in background tasks."""

# Whoever knows the last part of such an address may send there.
_SECRET = re.compile(r"(/v1/recordings/[^/]*/).+", re.DOTALL)


def logged_path(scope: Scope) -> str:
    """The path of a request as logs may have it: without the key of an address that is a secret."""
    return _SECRET.sub(r"\1***", str(scope["path"]))
