"""gzip and deflate over HTTP, both ways, and bodies that are packed to do harm."""

import gzip
import threading
import time
import zlib
from typing import Any

import orjson
import psutil
import pytest

from ..conftest import Front, body_of
from .conftest import MAX_BODY_BYTES

PATH = "/v2/models/summing/infer"
HEADER = "Inference-Header-Content-Length"
GOLDEN = [1, 2, 3, 4, 5, 6]
PACK: dict[str, Any] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "GZIP": gzip.compress,
}
MANY = 500  # rows, so that the answer is worth packing


@pytest.mark.parametrize("encoding", PACK)
def test_a_packed_request_is_read(served: Front, encoding: str) -> None:
    body = PACK[encoding](body_of(GOLDEN))
    answer = served.client.post(PATH, content=body, headers={"Content-Encoding": encoding})
    assert answer.json()["outputs"][0]["data"] == [21.0]


def test_the_length_of_the_json_is_that_of_the_unpacked_body(served: Front) -> None:
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "parameters": {"binary_data_size": 6}}
    text = orjson.dumps({"inputs": [image], "parameters": {"binary_data_output": True}})
    answer = served.client.post(
        PATH,
        content=gzip.compress(text + bytes(GOLDEN)),
        headers={"Content-Encoding": "gzip", HEADER: str(len(text))},
    )
    assert answer.content.endswith(b"sum 21")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.2, deflate;q=0.5", "deflate"),
        ("*", "gzip"),
        ("br, gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity", None),
    ],
)
def test_an_answer_is_packed_as_the_client_likes_it(
    served: Front, accepted: str, encoding: str | None
) -> None:
    answer = served.client.post(PATH, content=body_of(GOLDEN * MANY), headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "accept-encoding"
    assert answer.json()["outputs"][0]["data"] == [21.0] * MANY


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


def test_a_small_answer_is_not_worth_packing(served: Front) -> None:
    answer = served.client.post(PATH, content=body_of(GOLDEN), headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", b"\x1f\x8b", "too early"),
        ("gzip", b"", "too early"),
        ("gzip", body_of(GOLDEN), "not gzip"),
        ("gzip", zlib.compress(body_of(GOLDEN)), "not gzip"),
        ("deflate", gzip.compress(body_of(GOLDEN)), "not deflate"),
        ("gzip", gzip.compress(body_of(GOLDEN))[:-9], "too early"),
        ("gzip", gzip.compress(body_of(GOLDEN))[:-8] + b"\x00" * 8, "not gzip"),
        ("gzip", gzip.compress(body_of(GOLDEN)) * 2, "follows"),
        ("deflate", zlib.compress(body_of(GOLDEN)) + b"x", "follows"),
    ],
)
def test_a_stream_that_is_broken_is_refused(served: Front, encoding: str, body: bytes, reason: str) -> None:
    answer = served.client.post(PATH, content=body, headers={"Content-Encoding": encoding})
    assert answer.status_code == 400
    assert reason in answer.json()["error"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "compress"])
def test_an_encoding_that_is_not_taken_names_those_that_are(served: Front, encoding: str) -> None:
    answer = served.client.post(PATH, content=b"x", headers={"Content-Encoding": encoding})
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_a_quick_413_in_bounded_memory(served: Front, encoding: str) -> None:
    bomb = PACK[encoding](b" " * 500 * MAX_BODY_BYTES)  # half a megabyte says half a gigabyte
    assert len(bomb) < MAX_BODY_BYTES
    process = psutil.Process(served.process.pid)
    before = peak = process.memory_info().rss
    statuses: list[int] = []

    def send() -> None:
        answer = served.client.post(PATH, content=bomb, headers={"Content-Encoding": encoding})
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
