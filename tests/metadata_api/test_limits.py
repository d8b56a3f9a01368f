"""The guard in front of the API: sizes, slow bodies and URLs, over a real socket."""

import socket
import time
from collections.abc import Iterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, File, Request, UploadFile
from sqlalchemy import Engine

from metadata_api import limits
from metadata_api.settings import Max
from tests.metadata_api.conftest import row_counts


def test_a_body_over_the_limit_is_refused_by_its_declared_length(api: httpx.Client, engine: Engine) -> None:
    before = row_counts(engine)
    answer = api.post("/v1/predictions", content=b"x" * 50_000_000)
    assert answer.status_code == 413
    assert answer.json()["error"] == "body_too_large"
    assert row_counts(engine) == before


def test_a_body_without_a_length_is_counted_while_it_arrives(api: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield b'{"name": "' + b"x" * 65_536

    answer = api.post("/v1/experiments", content=endless(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")


def test_a_body_that_trickles_is_ended(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS_TO_START", 0.5)
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        head = f"POST /v1/experiments HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        head += "Content-Length: 900\r\n\r\n"
        sock.sendall(head.encode() + b'{"na')
        start = time.monotonic()
        assert b" 408 " in sock.recv(4096)
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("url", ["/v1/experiments/a%00b", "/v1/experiments?search=%00"])
def test_a_nul_in_the_url_is_a_400(api: httpx.Client, url: str) -> None:
    answer = api.get(url)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"deflate, gzip", b"\xff"])
def test_a_compressed_body_is_a_400_that_says_so(api: httpx.Client, coding: bytes) -> None:
    headers = {b"content-type": b"text/csv", b"content-encoding": coding}
    answer = api.post("/v1/imports", content=b"\x1f\x8b", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith("Send it without Content-Encoding.")
    plain = {"content-encoding": "identity"}
    assert api.post("/v1/experiments", json={"name": "plain"}, headers=plain).status_code == 201


class TestDeclared:
    """Every route that takes an upload says how large it may be, beside itself."""

    def test_a_route_has_its_own_limit_and_any_other_that_of_json(self) -> None:
        router = APIRouter(prefix="/v1/files/{name}")

        @router.post("/parts")
        @limits.max_body(lambda largest: largest.csv_bytes)
        async def send(request: Request) -> None: ...

        found = limits.BodyLimits([router], Max(), {"/v2": 7})
        assert found.of("POST", "/v1/files/one/parts").size == Max().csv_bytes
        assert found.of("GET", "/v1/files/one/parts").size == Max().json_bytes
        assert found.of("POST", "/v1/files/one").size == Max().json_bytes
        assert found.of("POST", "/v2/models/one/infer").size == 7

    def test_an_upload_without_one_keeps_the_application_from_starting(self) -> None:
        router = APIRouter()

        @router.post("/v1/stream")
        async def stream(request: Request) -> None: ...

        with pytest.raises(TypeError, match="/v1/stream takes an upload: declare its limit"):
            limits.BodyLimits([router], Max(), {})

    def test_so_does_a_form_with_a_file(self) -> None:
        router = APIRouter()

        @router.post("/v1/form")
        async def form(image: Annotated[UploadFile, File()]) -> None: ...

        with pytest.raises(TypeError, match="/v1/form takes an upload"):
            limits.BodyLimits([router], Max(), {})
