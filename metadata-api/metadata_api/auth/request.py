"""The request that is being answered, for what looks at every transaction and is handed none."""

from contextvars import ContextVar

from starlette.types import Scope

current_request: ContextVar[Scope | None] = ContextVar("current_request", default=None)
"""Its ASGI scope, in the task and in the threads that answer it; None in background tasks."""
