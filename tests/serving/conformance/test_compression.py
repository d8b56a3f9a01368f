"""gzip and deflate over HTTP, both ways, and bodies that are packed to do harm."""

import gzip
import struct
import threading
import time
import zlib
from functools import cache
from typing import Any

import orjson
import psutil
import pytest

from serving_runtime.front.compression import SMALLEST

from ..conftest import Front, body_of
from .asking import HEADER, REQUEST, parted, reason
from .conftest import MAX_BODY_BYTES

pytestmark = pytest.mark.section("Compression")

PATH = "/v2/models/summing/infer"
GOLDEN = [1, 2, 3, 4, 5, 6]
PACK: dict[str, Any] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZIP": gzip.compress,
}
PACKED = gzip.compress(body_of(GOLDEN), mtime=0)  # the same bytes in every process, as they name a test
MANY = 500  # rows, so that the answer is worth packing


@cache
def bomb(encoding: str) -> bytes:
    """Half a megabyte that says half a gigabyte; it takes a second to pack."""
    packed: bytes = PACK[encoding](b" " * 500 * MAX_BODY_BYTES)
    assert len(packed) < MAX_BODY_BYTES
    return packed


@pytest.mark.row("request with `Content-Encoding: {encoding}`")
@pytest.mark.parametrize("encoding", PACK)
def test_a_packed_request_is_read(served: Front, encoding: str) -> None:
    body = PACK[encoding](body_of(GOLDEN))
    answer = served.client.post(PATH, content=body, headers={"Content-Encoding": encoding})
    assert answer.json()["outputs"][0]["data"] == [21.0]


@pytest.mark.row(
    f"request and answer in {{encoding}} with binary tensors: `{HEADER}` is that of the unpacked JSON"
)
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_binary_tensors_are_packed_with_the_json(served: Front, encoding: str) -> None:
    size = len(GOLDEN) * MANY
    image = {"name": "image", "datatype": "UINT8", "shape": [MANY, 2, 3]}
    tensor = {**image, "parameters": {"binary_data_size": size}}
    outputs = [{"name": "total", "parameters": {"binary_data": True}}]
    text = orjson.dumps({"inputs": [tensor], "outputs": outputs})
    answer = served.client.post(
        PATH,
        content=PACK[encoding](text + bytes(GOLDEN * MANY)),
        headers={"Content-Encoding": encoding, "Accept-Encoding": encoding, HEADER: str(len(text))},
    )
    assert answer.headers["content-encoding"] == encoding
    assert int(answer.headers["content-length"]) < len(answer.content)
    (output,), rest = parted(answer)
    assert output["parameters"] == {"binary_data_size": 4 * MANY}
    assert rest == struct.pack("<f", 21) * MANY


@pytest.mark.row("answer to `Accept-Encoding: {accepted}`: {encoding}")
@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.2, deflate;q=0.5", "deflate"),
        ("*", "gzip"),
        ("br, gzip;q=0", "not packed"),
        ("identity, gzip;q=0.5", "not packed"),
        ("identity", "not packed"),
    ],
)
def test_an_answer_is_packed_as_the_client_likes_it(served: Front, accepted: str, encoding: str) -> None:
    answer = served.client.post(PATH, content=body_of(GOLDEN * MANY), headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding", "not packed") == encoding
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.json()["outputs"][0]["data"] == [21.0] * MANY


@pytest.mark.row("answer of 200 KB to `Accept-Encoding: gzip`")
def test_a_large_answer_is_packed_beside_the_event_loop(served: Front) -> None:
    rows = 50_000
    image = {
        "name": "image",
        "datatype": "UINT8",
        "shape": [rows, 2, 3],
        "parameters": {"binary_data_size": rows * 6},
    }
    text = orjson.dumps({"inputs": [image], "outputs": [{"name": "total"}]})
    headers = {HEADER: str(len(text)), "Accept-Encoding": "gzip"}
    answer = served.client.post(PATH, content=text + bytes(rows * 6), headers=headers)
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["outputs"][0]["data"] == [0.0] * rows


@pytest.mark.row("an answer of less than 1 KiB is not packed")
def test_a_small_answer_is_not_worth_packing(served: Front) -> None:
    answer = served.client.post(PATH, content=body_of(GOLDEN), headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


@pytest.mark.row("metadata and errors are not packed, as tritonclient's asyncio client cannot unpack them")
def test_only_inferences_are_packed(served: Front) -> None:
    first, second = REQUEST["inputs"]
    wrong = orjson.dumps({"inputs": [{**first, "data": [404] * 4}, second]})
    headers = {"Accept-Encoding": "gzip"}
    for answer, status in (
        (served.client.get("/v2/models/echo", headers=headers), 200),
        (served.client.get("/v2/models/echo/config", headers=headers), 200),
        (served.client.post("/v2/models/mymodel/infer", content=wrong, headers=headers), 400),
    ):
        assert answer.status_code == status
        assert len(answer.content) > SMALLEST  # an inference of this length is packed
        assert "content-encoding" not in answer.headers


@pytest.mark.row("400: a stream that is broken, too short or goes on")
@pytest.mark.parametrize(
    ("encoding", "body", "word"),
    [
        ("gzip", b"\x1f\x8b", "too early"),
        ("gzip", b"", "too early"),
        ("gzip", body_of(GOLDEN), "not gzip"),
        ("gzip", zlib.compress(body_of(GOLDEN)), "not gzip"),
        ("deflate", PACKED, "not deflate"),
        ("gzip", PACKED[:-9], "too early"),
        ("gzip", PACKED[:-8] + b"\x00" * 8, "not gzip"),
        ("gzip", PACKED * 2, "follows"),
        ("deflate", zlib.compress(body_of(GOLDEN)) + b"x", "follows"),
    ],
)
def test_a_stream_that_is_broken_is_rejected(served: Front, encoding: str, body: bytes, word: str) -> None:
    answer = served.client.post(PATH, content=body, headers={"Content-Encoding": encoding})
    assert word in reason(answer, 400)


@pytest.mark.row("415 with `Accept-Encoding`: request with `Content-Encoding: {encoding}`")
@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "compress"])
def test_an_encoding_that_is_not_taken_names_those_that_are(served: Front, encoding: str) -> None:
    answer = served.client.post(PATH, content=b"x", headers={"Content-Encoding": encoding})
    assert "gzip, deflate" in reason(answer, 415)
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.row("413 at once and in bounded memory: {encoding} that unpacks to half a gigabyte")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_a_quick_413_in_bounded_memory(served: Front, encoding: str) -> None:
    content = bomb(encoding)
    process = psutil.Process(served.process.pid)
    before = peak = process.memory_info().rss
    statuses: list[int] = []

    def send() -> None:
        answer = served.client.post(PATH, content=content, headers={"Content-Encoding": encoding})
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=send) for _ in range(10)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.002)
    seconds = time.monotonic() - began
    print(f"ten bombs in {seconds:.2f} s, {(peak - before) / 1024**2:.0f} MB more at most")
    assert statuses == [413] * 10
    assert seconds < 2
    assert peak - before < 20 * MAX_BODY_BYTES
