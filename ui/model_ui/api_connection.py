"""The connection to the metadata API: who presents which credential, deadlines, and what can go wrong.

`MetadataClient` has the calls on top of it that several callers share; a page calls `call` with types of its own.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from model_ui.api_errors import ApiAway, ApiFaulty, error_of
from model_ui.shared_reads import Scope, SharedReads
from model_ui.spec_types import ApiModel

A = TypeVar("A", bound=ApiModel)
LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
# They change nothing that others read, and come at every stroke.
PREDICTIONS = "/v1/predictions"


class ApiConnection:
    """Requests to the metadata API; every one has a deadline and raises only ApiError.

    It has no credential of its own: `as_visitor` gives one that calls in the name of a visitor. A transport may be
    given instead of the network (tests pass the API itself), or another one's connections.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        token: str | None = None,
        connections: httpx.AsyncClient | None = None,
        reads: SharedReads | None = None,
        scope: Scope | None = None,
        seconds: float = 0.0,
        idle_seconds: float = 0.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.reads = reads or SharedReads()
        self._scope, self._seconds, self._idle_seconds = scope, seconds, idle_seconds
        # Predictions are recorded with who asked.
        self._headers = {"marina-client": "ui", **({"authorization": f"Bearer {token}"} if token else {})}
        self._http = connections or httpx.AsyncClient(
            base_url=self.url,
            transport=transport,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=LIMITS,
            # The API is ours: no proxy of the environment stands between.
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def as_visitor(
        self,
        token: str | None,
        *,
        scope: Scope | None = None,
        seconds: float = 0.0,
        idle_seconds: float = 0.0,
    ) -> Self:
        """One over the same connections that presents this token with every request, or none.

        With a scope, what is read may be as old as `seconds` where others of the same scope have read it, and as
        `idle_seconds` where there are many of them; see `shared_reads`.
        """
        return type(self)(
            self.url,
            token=token,
            connections=self._http,
            reads=self.reads,
            scope=scope,
            seconds=seconds,
            idle_seconds=idle_seconds,
        )

    async def call(self, kind: type[A], method: str, path: str, **options: Any) -> A:
        """The answer to a request as a value of a type; options are those of httpx."""
        content = await self._content(method, path, **options)
        try:
            return kind.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ApiFaulty(
                f"The API's answer to {method} {path} cannot be read: {where} {first['msg']}"
            ) from error

    async def pages(self, kind: type[A], path: str, most: int, **query: str) -> AsyncIterator[A]:
        """A list page by page, to its end or to so many pages; `kind` has a field `next`."""
        query.setdefault("limit", "200")
        for _ in range(most):
            page = await self.call(kind, "GET", path, params=query)
            yield page
            following: str | None = getattr(page, "next", None)
            if following is None:
                break
            query["cursor"] = following

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The API's answer when it is a success; what changes something also makes what was read before old."""
        headers = self._headers | options.pop("headers", {})
        try:
            with _reached():
                answer = await self._http.request(method, path, headers=headers, **options)
        finally:
            if method != "GET" and path != PREDICTIONS:
                self.reads.clear()
        if answer.is_success:
            return answer
        raise error_of(answer)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[httpx.Response]:
        """The API's answer when it is a success, to be read while it comes."""
        request = self._http.build_request("GET", path, headers=self._headers)
        with _reached():
            answer = await self._http.send(request, stream=True)
        try:
            if not answer.is_success:
                await answer.aread()
                raise error_of(answer)
            yield answer
        finally:
            await answer.aclose()

    async def _content(self, method: str, path: str, **options: Any) -> bytes:
        if method != "GET" or self._scope is None or options.keys() - {"params"}:
            return (await self.request(method, path, **options)).content
        address = str(httpx.URL(path, params=options.get("params")))

        async def read() -> bytes:
            return (await self.request("GET", path, **options)).content

        return await self.reads.read((self._scope, address), read, self._seconds, self._idle_seconds)


@contextmanager
def _reached() -> Iterator[None]:
    """Raises ApiAway where the API cannot be reached, or does not answer in time."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise ApiAway("The API did not answer in time.") from error
    except httpx.HTTPError as error:
        raise ApiAway("The API cannot be reached.") from error
