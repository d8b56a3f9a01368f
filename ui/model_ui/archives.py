"""The ASGI layer that passes archives on while they are sent, to the API and from it; nothing of them is kept here.

`POST /archives/EXPERIMENT` with the archive as its body becomes the API's upload of a version, in the name of the
visitor; with `?new=1` the experiment is made with it if there is none. The response is `{experiment, version}` or the
API's error.
`GET /archives/EXPERIMENT/NUMBER` is the archive of a version. Called by `app.create_app`, between the login and Gradio.
"""

from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.responses import StreamingResponse

from model_ui.api_errors import ApiAway, ApiError, ApiRejected
from model_ui.asgi import App, Receive, Scope, Send, send_json
from model_ui.authentication import visitor_in
from model_ui.bodies import Body
from model_ui.metadata_client import MetadataClient
from model_ui.names import NAME, number

PREFIX = "/archives/"
# Each holds a connection to the API for as long as somebody's line is slow; most of them are for the pages.
MOST_AT_ONCE = 20
BUSY = f"{MOST_AT_ONCE} archives are under way already. Try again when one of them is done."


class Archives:
    """The layer: `max_bytes` is the size of the largest archive."""

    def __init__(self, app: App, client: MetadataClient, *, max_bytes: int) -> None:
        self._app = app
        self._client = client
        self._most = max_bytes
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            return await self._app(scope, receive, send)
        if scope["method"] == "GET":
            return await self._download(scope, receive, send)
        if scope["method"] != "POST":
            return await _reject(send, 405, "method_not_allowed", "Send the archive with POST.")
        size = dict(scope["headers"]).get(b"content-length", b"").decode("latin-1")
        if not size.isdecimal():
            return await _reject(send, 411, "length_required", "Send the archive with its length.")
        if int(size) > self._most:
            detail = (
                f"The file has {int(size):,} bytes; archives of more than {self._most:,} are not accepted."
            )
            return await _reject(send, 413, "archive_too_large", detail)
        body = Body(receive, self._most)
        if self._under_way >= MOST_AT_ONCE:
            await _rest(body)
            return await _reject(send, 503, "too_many_archives", BUSY)
        self._under_way += 1
        try:
            made = await self._pass_on(scope, body, int(size))
        except _Interrupted:
            if body.failure:
                await _reject(send, body.failure, "body_incomplete", "The file did not arrive in time.")
        except ApiError as error:
            await _rest(body)
            await _reject(send, _status(error), _code(error), error.detail)
        else:
            await send_json(send, 201, made)
        finally:
            self._under_way -= 1

    async def _download(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the archive of a version, as far as the visitor's role reaches."""
        name, _, version = scope["path"].removeprefix(PREFIX).partition("/")
        if not NAME.fullmatch(name) or number(version) is None:
            return await _reject(send, 404, "version_unknown", "There is no such version.")
        if self._under_way >= MOST_AT_ONCE:
            return await _reject(send, 503, "too_many_archives", BUSY)
        self._under_way += 1
        try:
            api = self._client.as_visitor(visitor_in(scope).token)
            async with api.stream(f"/artifacts/{name}/{version}/{name}.mar") as found:
                headers = {"content-disposition": f'attachment; filename="{name}-{version}.mar"'}
                headers |= {
                    key: found.headers[key] for key in ("content-length", "etag") if key in found.headers
                }
                answer = StreamingResponse(found.aiter_raw(), 200, headers, "application/octet-stream")
                await answer(scope, receive, send)
        except ApiError as error:
            await _reject(send, _status(error), _code(error), error.detail)
        finally:
            self._under_way -= 1

    async def _pass_on(self, scope: Scope, body: Body, size: int) -> dict[str, str]:
        api, name = self._client.as_visitor(visitor_in(scope).token), scope["path"].removeprefix(PREFIX)
        is_new = b"new=1" in scope["query_string"].split(b"&")
        version = await api.upload_version(name, _content(body), size, is_new=is_new)
        return {"experiment": version.experiment, "version": str(version.version)}


class _Interrupted(Exception):
    """The browser left, or its body does not go on: the upload to the API ends unfinished too."""


async def _content(body: Body) -> AsyncIterator[bytes]:
    while not body.complete:
        message = await body()
        if message["type"] != "http.request":
            raise _Interrupted
        yield message.get("body", b"")


async def _rest(body: Body) -> None:
    """Read what the API did not want: browsers only read a response once they have sent everything."""
    with suppress(_Interrupted):
        async for _ in _content(body):
            pass


def _status(error: ApiError) -> int:
    if isinstance(error, ApiRejected):
        return error.status
    return 503 if isinstance(error, ApiAway) else 502


def _code(error: ApiError) -> str:
    return error.code if isinstance(error, ApiRejected) else "api_unavailable"


async def _reject(send: Send, status: int, code: str, detail: str) -> None:
    await send_json(send, status, {"error": code, "detail": detail})
