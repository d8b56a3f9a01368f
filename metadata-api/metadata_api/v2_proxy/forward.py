"""Passes one request to the server of a deployment, and its response back, with nothing changed in either."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import aiohttp
import orjson

from metadata_api.deploying.base import WAY_SECONDS
from metadata_api.errors import BadAnswer, DeadlineExceeded, Invalid, Unavailable
from metadata_api.http_pool import HttpPool, NoResponse, Response, ResponseTooLarge
from metadata_api.v2_proxy.route_table import Route
from serving_runtime.contracts import PREDICTION_HEADER
from serving_runtime.protocol import handler_headers

CONNECT_SECONDS = 3.0
# Anybody may ask for it, so it holds a connection no longer than a probe would wait.
READY_TIMEOUT = aiohttp.ClientTimeout(total=3.0, sock_connect=1.0)
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
# Everything else stays here, credentials above all; but handlers have headers of their own.
REQUEST_HEADERS = frozenset(
    (b"content-type", b"content-encoding", b"accept-encoding", b"inference-header-content-length")
)
RESPONSE_HEADERS = (
    "content-type",
    "content-encoding",
    "inference-header-content-length",
    "retry-after",
    "vary",
    "allow",
    "accept-encoding",
    PREDICTION_HEADER,
)


async def forward(
    pool: HttpPool,
    base: str,
    route: Route,
    action: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    response_seconds: float,
) -> Response:
    """The response of the server at `base`; raises Unavailable, DeadlineExceeded and BadAnswer.

    `response_seconds` is what a server has where its deployment does not say so.
    """
    path = f"{route.deployment}/versions/{route.version}" if route.version else route.deployment
    url = f"{base}/v2/models/{path}"
    timeout = READY_TIMEOUT if action == "ready" else _timeout(route.response_seconds or response_seconds)
    try:
        response = await pool.request(
            "POST" if action == "infer" else "GET",
            f"{url}/{action}" if action else url,
            headers=headers,
            body=body,
            max_bytes=MAX_RESPONSE_BYTES,
            timeout=timeout,
        )
    except ResponseTooLarge as error:
        raise BadAnswer("bad_answer", f"{route.deployment} cannot be used: {error}.") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise _unreachable(route) from error
    except TimeoutError as error:
        if action == "ready":
            return _not_ready(route)
        raise DeadlineExceeded(
            "deadline_exceeded",
            f"{route.deployment} did not answer within {timeout.total:.0f} s. "
            "A model that needs longer needs a deployment with more response_seconds.",
        ) from error
    except NoResponse as error:
        if action == "ready":
            return _not_ready(route)
        raise _unreachable(route) from error
    return Response(response.status, _response_headers(response), response.body)


@lru_cache
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds + WAY_SECONDS, sock_connect=CONNECT_SECONDS)


def _not_ready(route: Route) -> Response:
    document = {"name": route.deployment, "ready": False, "error": _unreachable(route).detail}
    return Response(503, {"content-type": "application/json"}, orjson.dumps(document))


def request_headers(sent: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """What is passed on of a client's headers; raises Invalid for a value that is not printable ASCII."""
    # Without the client's own wish the response is not compressed.
    found = {"accept-encoding": "identity"}
    for key, value in sent:
        if key in REQUEST_HEADERS:
            name, text = key.decode(), value.decode("latin-1")
            if not _is_printable(text):
                raise Invalid("bad_header", f"The header {name} has other characters than printable ASCII.")
            found[name] = text
    for name, text in handler_headers.given(sent).items():
        if _is_printable(text):
            found.setdefault(name, text)
    return found


def _response_headers(response: Response) -> dict[str, str]:
    found = {}
    for name in RESPONSE_HEADERS:
        value = response.headers.get(name)
        if value is not None:
            if not _is_printable(value):
                raise BadAnswer(
                    "bad_answer", f"The model's response has other characters than printable ASCII in {name}."
                )
            found[name] = value
    for key, value in response.headers.items():
        name = key.lower()
        if handler_headers.is_returned(name) and _is_printable(value):
            found[name] = value
    return found


def _is_printable(value: str) -> bool:
    return value.isascii() and value.replace("\t", " ").isprintable()


def _unreachable(route: Route) -> Unavailable:
    return Unavailable("model_unreachable", f"The server of {route.deployment} does not answer. Try again.")
