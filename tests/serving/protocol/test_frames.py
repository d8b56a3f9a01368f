"""Frames between the front and its workers: whole ones read back, broken ones are told apart."""

from hypothesis import given
from hypothesis import strategies as st

from serving_runtime.protocol import frames
from serving_runtime.protocol.tensors import Tensor


def test_a_frame_reads_back() -> None:
    tensors = [Tensor("a", "FP32", (2, 1), bytes(8)), Tensor("b", "BYTES", (2,), [b"", b"xyz"])]
    header, found = frames.decode(b"".join(frames.encode({"rows": [2]}, tensors)))
    assert header == {"rows": [2]}
    assert found == tensors


def test_joined_requests_split_again() -> None:
    requests = [
        [
            Tensor("a", "UINT8", (rows, 2), bytes(range(2 * rows))),
            Tensor("b", "BYTES", (rows,), [b"x" * rows] * rows),
        ]
        for rows in (1, 3, 2)
    ]
    joined = frames.join_requests(requests)
    assert joined[0].shape == (6, 2)
    assert frames.split_requests(joined, [1, 3, 2]) == requests


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_broken_frame_is_told_from_a_whole_one(position: int, byte: int) -> None:
    tensors = [Tensor("a", "FP32", (2, 1), bytes(8)), Tensor("b", "BYTES", (2,), [b"", b"xyz"])]
    frame = bytearray(b"".join(frames.encode({}, tensors)))
    frame[position % len(frame)] = byte
    for candidate in (frame, frame[:position]):
        try:
            frames.decode(candidate)
        except frames.BrokenFrame:
            continue
