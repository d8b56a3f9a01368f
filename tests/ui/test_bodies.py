"""Bodies that the UI is sent: they have to arrive in time, and a client that leaves is no fault of it."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from model_ui import bodies
from model_ui.bodies import BodyGuard
from model_ui.bounded_http import BoundedHttpProtocol
from tests.asgi import Server
from tests.raw_http import Line

EVENTS = "/gradio_api/run/predict"
EVENT = b'{"fn_index": 0, "data": []}'


async def gradio(_: Any, receive: Any, send: Any) -> None:
    """As Gradio does: an exception for a body that breaks off, after a response that says so."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            await answer(send, 500)
            raise RuntimeError("the client left")
        if not message.get("more_body"):
            break
    await answer(send, 200)


async def answer(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def url() -> Iterator[str]:
    with Server(BodyGuard(gradio, {0: 0}), http=BoundedHttpProtocol, ws="none", lifespan="off") as server:
        yield server.url


@pytest.mark.parametrize("sent", [b"", b'{"half'])
def test_one_that_does_not_arrive_is_a_408(
    url: str, sent: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bodies, "SECONDS_TO_START", 0.3)
    with Line(url) as line:
        line.send(line.head("POST", EVENTS, content_length="1000") + sent)
        assert [one.status for one in line.answers()] == [408]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_one_that_takes_long_but_arrives_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS_TO_START", 0.5)
    monkeypatch.setattr(bodies, "SLOWEST_BYTES_PER_SECOND", 10)
    with Line(url) as line:
        line.send(
            line.head("POST", EVENTS, content_length=str(len(EVENT))),
            *[EVENT[n : n + 5] for n in range(0, len(EVENT), 5)],
            pause=0.15,
        )
        assert [one.status for one in line.answers()] == [200]


@pytest.mark.parametrize("farewell", ["end", "reset"])
def test_a_client_that_leaves_is_nothing_for_the_log(
    url: str, farewell: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Line(url) as line:
        line.send(line.head("POST", EVENTS, content_length="1000") + b"half")
        time.sleep(0.05)
        if farewell == "reset":
            line.reset()
    time.sleep(0.2)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_fault_of_the_application_is_still_one() -> None:
    async def broken(*_: Any) -> None:
        raise ValueError("a fault")

    async def whole() -> dict[str, Any]:
        return {"type": "http.request", "body": EVENT, "more_body": False}

    async def nowhere(_: Any) -> None: ...

    guard = BodyGuard(broken, {0: 0})
    scope = {"type": "http", "method": "POST", "path": EVENTS, "headers": [(b"content-length", b"26")]}
    with pytest.raises(ValueError, match="a fault"):
        asyncio.run(guard(scope, whole, nowhere))


@pytest.mark.parametrize(
    "event",
    [
        [1], 5, "x", None, {}, {"data": []}, {"fn_index": 0}, {"fn_index": 9, "data": []},
        {"fn_index": "0", "data": []},
        {"fn_index": False, "data": []}, {"fn_index": 0.0, "data": []}, {"fn_index": 0, "data": {}},
        {"fn_index": 0, "data": [1]}, {"fn_index": -1, "data": []}, {"fn_index": [], "data": []},
    ],
    ids=str,
)  # fmt: skip
def test_an_event_that_the_page_does_not_have_is_a_400(url: str, event: object) -> None:
    answer = httpx.post(f"{url}{EVENTS}", content=json.dumps(event))
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "This page has no such event. Load it anew.",
    )
    assert httpx.post(f"{url}{EVENTS}", content=EVENT).status_code == 200
