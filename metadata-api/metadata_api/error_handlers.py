"""Every error of the application as the response that a caller gets; `create_app` installs them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from metadata_api.auth.layer import CHALLENGE
from metadata_api.auth.request import logged_path
from metadata_api.database.rejections import rejection
from metadata_api.errors import MarinaError, body_of
from metadata_api.limits import BodyRejected

log = logging.getLogger(__name__)


def answer_errors(app: FastAPI) -> None:
    """Every error leaves as `{error, detail}`, under /v2 as `{error}`, with the status that tells whose fault it is."""

    @app.exception_handler(MarinaError)
    async def _marina(request: Request, error: MarinaError) -> JSONResponse:
        return _error(request, error.status, error.code, error.detail, more=error.more)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Only where and what, never the input itself: it may be huge, secret or not encodable.
        items = error.errors()[:20]
        found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in items]
        if _is_of_another_type(request, items):
            found = [_TYPE_REMEDY]
        return _error(
            request, 422, "invalid_request", "; ".join(found)[:2000].encode(errors="replace").decode()
        )

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, BodyRejected):
            return _error(request, error.status_code, error.code, error.detail, error.headers)
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
        return _error(request, error.status_code, code, _hint(error), error.headers)

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, _: ClientDisconnect) -> JSONResponse:
        # Nobody reads it, and it is nobody's fault here: no line in the log.
        return _error(
            request, 400, "body_incomplete", "The body ended before it was complete. Send it again."
        )

    @app.exception_handler(exc.DBAPIError)
    @app.exception_handler(exc.TimeoutError)
    async def _database(request: Request, error: exc.SQLAlchemyError) -> JSONResponse:
        if isinstance(error, exc.IntegrityError):
            return _error(
                request,
                409,
                "conflict",
                "The same thing was changed at the same time. Read it and try again.",
            )
        if isinstance(error, exc.DataError):
            return _error(
                request, 422, "invalid_request", "A value does not fit into the database. Use a smaller one."
            )
        if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError):
            log.warning("database: %s", str(error).splitlines()[0])
            return _error(
                request, 503, "database_unavailable", "The database does not answer. Try again in a moment."
            )
        if isinstance(error, exc.DBAPIError) and (rejected := rejection(error)):
            log.warning("database: %s", str(error).splitlines()[0])
            return _error(request, rejected.status, rejected.code, rejected.detail)
        return _fault(request, error)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        return _fault(request, error)


# What pydantic says of a whole body that nobody has read as JSON.
_NOT_READ = {"model_attributes_type", "dict_type", "model_type"}
_TYPE_REMEDY = "The body is not read as JSON. Send it with the header Content-Type: application/json."


def _is_of_another_type(request: Request, items: Sequence[Any]) -> bool:
    """Whether the body came under a type that is not JSON's, as `curl -d` sends it without a header of its own."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return not is_json and any(item["loc"] == ("body",) and item["type"] in _NOT_READ for item in items)


def _fault(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %.200a failed", request.method, logged_path(request.scope), exc_info=error)
    return _error(request, 500, "internal_error", "A fault of the metadata API; its log says more.")


def _hint(error: HTTPException) -> str:
    hints = {
        404: "There is nothing at this address. See /docs.",
        405: "This address has other methods. See /docs.",
    }
    return hints.get(error.status_code, str(error.detail))


def _error(
    request: Request,
    status: int,
    code: str,
    detail: str,
    headers: Any = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    name, value = CHALLENGE
    by_status = {401: {name.decode(): value.decode()}, 503: {"Retry-After": "1"}}
    sent = {**(headers or {}), **by_status.get(status, {})}
    return JSONResponse({**body_of(request.scope, code, detail), **(more or {})}, status, sent)
