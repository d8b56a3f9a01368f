"""What the answers of all parts of the fake API share."""

from datetime import UTC, datetime
from typing import Any

from fastapi.responses import JSONResponse

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC).isoformat()
HOSTILE = "<img src=x onerror=\"document.title='stolen'\"> {{value}} ${alert(1)} `x`"
NONE: dict[str, Any] = {"items": [], "total": 0, "next": None}


def error(status: int, code: str, detail: str) -> JSONResponse:
    """An error as the API writes it."""
    return JSONResponse({"error": code, "detail": detail}, status)
