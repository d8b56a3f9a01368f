"""The metadata API over HTTP: requests with the caller's token, and errors as one line that says what to do."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from marina.connection import Connection
from marina.errors import Failure, NotFound, Unreachable, WrongUse

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
NOT_NOW = (502, 503, 504)
Json = dict[str, Any]


class Api:
    """A client; every call has a deadline, and follows no redirect: a token goes to its own server only."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        host = urlsplit(connection.url).hostname or ""
        is_here = host == "localhost" or host.startswith("127.") or host == "::1"
        headers = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
        # A proxy of the environment leads away from this machine.
        self._client = httpx.Client(base_url=connection.url, headers=headers, trust_env=not is_here)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, *, seconds: float = ANSWER_SECONDS, **query: Any) -> Json:
        """What GET answers. Raises Failure, Unreachable, NotFound."""
        return self.send("GET", path, seconds=seconds, params=query)

    def post(self, path: str, body: Json | None = None, *, seconds: float = ANSWER_SECONDS) -> Json:
        """What POST answers. Raises as `get`."""
        return self.send("POST", path, seconds=seconds, json=body or {})

    def patch(self, path: str, body: Json) -> Json:
        """What PATCH answers. Raises as `get`."""
        return self.send("PATCH", path, json=body)

    def send(self, method: str, path: str, *, seconds: float = ANSWER_SECONDS, **content: Any) -> Json:
        """One request; `content` as httpx takes it. `seconds` without a byte either way are the deadline."""
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        with self._explained(seconds):
            answer = self._client.request(method, path, timeout=timeout, **content)
        return self._body(answer)

    def pages(self, path: str, **query: Any) -> Iterator[Json]:
        """The pages of a list, one after another; each has `items`."""
        cursor: Any = None
        while True:
            page = self.get(path, **query, **({"cursor": cursor} if cursor is not None else {}))
            yield page
            cursor = page.get("next")
            if cursor is None:
                return

    @contextmanager
    def _explained(self, seconds: float) -> Iterator[None]:
        url = self.connection.url
        try:
            yield
        except httpx.ConnectError as error:
            advice = "start it by `make up`" if self.connection.is_local else "is MARINA_URL right?"
            raise Unreachable(f"{url} does not answer ({_cause(error)}): {advice}") from error
        except httpx.TimeoutException as error:
            raise Unreachable(f"{url} did not answer within {seconds:.0f} s: try again later") from error
        except httpx.HTTPError as error:
            raise Unreachable(f"{url} broke the connection off ({_cause(error)}): try again") from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise WrongUse(f"{url} is no address: {_cause(error)}") from error

    def _body(self, answer: httpx.Response) -> Json:
        url, status = self.connection.url, answer.status_code
        if answer.is_redirect:
            there = answer.headers.get("location", "elsewhere")
            raise Failure(f"{url} redirects to {there[:200]}: name the right address by MARINA_URL")
        try:
            body = answer.json()
        except (ValueError, UnicodeError):
            body = None
        if answer.is_success and isinstance(body, dict):
            return body
        detail = body.get("detail") if isinstance(body, dict) else None
        if not isinstance(detail, str):
            kind = Unreachable if status in NOT_NOW else Failure
            raise kind(f"{url} answers {status} as no Marina API does: is MARINA_URL right?")
        if status == 401:
            detail += " The command line takes it from MARINA_TOKEN or --token-file."
        kinds = {404: NotFound, **dict.fromkeys(NOT_NOW, Unreachable)}
        raise kinds.get(status, Failure)(one_line(detail))


def one_line(text: str) -> str:
    """Text of others without line breaks and without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def as_text(body: Any) -> str:
    """JSON for programs."""
    return json.dumps(body, ensure_ascii=False, indent=2)


def _cause(error: Exception) -> str:
    return one_line(str(error))[:200] or type(error).__name__
