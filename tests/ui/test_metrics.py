"""`/metrics` of the UI, on a port of its own: what visitors asked, and what the API answered."""

import asyncio

import httpx
import pytest
from prometheus_client import generate_latest

from model_ui.metrics import Measured, MeasuredTransport, Metrics
from tests.ports import free_port


def test_requests_are_counted_by_group_and_status_whatever_clients_invent() -> None:
    metrics = Metrics()

    async def app(_scope: object, _receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})  # type: ignore[operator]

    async def send(_message: object) -> None:
        pass

    async def ask() -> None:
        for path in ("/prefix/", "/prefix/gradio_api/run/predict", "/prefix/login", "/made-up", "/made-up-2"):
            scope = {"type": "http", "path": path}
            await Measured(app, metrics, "/prefix")(scope, None, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    text = generate_latest(metrics.registry).decode()
    for route, count in (("/", 1), ("/gradio_api/run", 1), ("/login", 1), ("other", 2)):
        assert f'marina_ui_requests_total{{code="404",route="{route}"}} {count}.0' in text


def test_calls_of_the_api_are_counted_also_those_without_an_answer() -> None:
    metrics = Metrics()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/away":
            raise httpx.ConnectError("away")
        return httpx.Response(200)

    async def ask() -> None:
        transport = MeasuredTransport(httpx.MockTransport(answer), metrics)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            await client.get("/v1/me")
            with pytest.raises(httpx.ConnectError):
                await client.get("/away")

    asyncio.run(ask())
    text = generate_latest(metrics.registry).decode()
    assert 'marina_ui_api_calls_total{code="200"} 1.0' in text
    assert 'marina_ui_api_calls_total{code="none"} 1.0' in text


def test_they_are_served_on_a_port_of_their_own() -> None:
    metrics, port = Metrics(), free_port()
    metrics.count_call(200, 0.1)
    server, thread = metrics.serve("127.0.0.1", port)
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert (answer.status_code, "marina_ui_api_calls_total" in answer.text) == (200, True)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
