"""Packed bodies as pure functions: every way to cut a stream, and what a bomb may cost."""

import gzip
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_runtime.errors import InvalidRequest
from serving_runtime.front import compression
from serving_runtime.front.errors import BodyTooLarge, UnsupportedEncoding

TEXT = b'{"inputs": []}' * 50
PACK: dict[str, Any] = {"gzip": gzip.compress, "deflate": zlib.compress}


def unpack(encoding: str, body: bytes, limit: int = 10_000, piece: int = 10_000) -> bytes:
    inflater = compression.inflater(encoding, limit)
    assert inflater is not None
    found = b"".join(inflater.feed(body[at : at + piece]) for at in range(0, len(body), piece))
    inflater.finish()
    return found


@pytest.mark.parametrize("encoding", PACK)
@given(text=st.binary(max_size=300), piece=st.integers(1, 50))
def test_a_stream_may_come_in_any_pieces(encoding: str, text: bytes, piece: int) -> None:
    assert unpack(encoding, PACK[encoding](text), piece=piece) == text
    assert unpack(encoding, compression.packed(text, encoding), piece=piece) == text


@pytest.mark.parametrize("encoding", PACK)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_unpacked_or_rejected(encoding: str, body: bytes) -> None:
    try:
        unpack(encoding, body)
    except (InvalidRequest, BodyTooLarge):
        return


@pytest.mark.parametrize("encoding", PACK)
def test_the_limit_is_exact(encoding: str) -> None:
    body = PACK[encoding](TEXT)
    assert unpack(encoding, body, limit=len(TEXT)) == TEXT
    with pytest.raises(BodyTooLarge):
        unpack(encoding, body, limit=len(TEXT) - 1)
    with pytest.raises(BodyTooLarge):
        unpack(encoding, body, limit=len(TEXT) - 1, piece=1)


@pytest.mark.parametrize("encoding", PACK)
def test_a_bomb_costs_no_more_than_the_limit(encoding: str) -> None:
    bomb = PACK[encoding](bytes(200 * 1024 * 1024))
    limit = 1024 * 1024
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(BodyTooLarge):
        unpack(encoding, bomb, limit=limit, piece=65536)
    seconds = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 0.1
    assert peak < 3 * limit


def test_no_encoding_is_no_unpacking() -> None:
    assert compression.inflater("", 1) is None
    assert compression.inflater(" Identity ", 1) is None


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip;q=1", "deflate gzip", "\xff"])
def test_other_encodings_are_rejected(encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        compression.inflater(encoding, 1)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.1, deflate;q=0.2", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=x", None),
        ("gzip;q=nan", None),
        ("*;q=0.5", "gzip"),
        ("*;q=0", None),
        ("identity;q=1, *;q=0.5", None),
        ("br, zstd", None),
        (";;,,;q=", None),
    ],
)
def test_what_an_answer_is_packed_with(accepted: str, encoding: str | None) -> None:
    assert compression.chosen(accepted) == encoding
