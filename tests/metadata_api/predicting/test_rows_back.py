"""Rows of tensors as what people can look at, and back to the same tensors."""

import struct
from typing import Any

import pytest

from metadata_api.errors import MarinaError
from metadata_api.predicting import inputs
from serving_runtime.archive import interface
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.protocol.tensors import Tensor
from tests.metadata_api.making import make_image
from tests.metadata_api.predicting.test_kinds import GAPS, NUMBERS, PLAIN, TEXT, WINE

IMAGE = [{"name": "image", "datatype": "UINT8", "shape": [-1, 4, 4], "accepts": ["UINT8", "FP32", "BYTES"]}]
PIXELS = [{"name": "p", "datatype": "FP32", "shape": [-1, 3, 2, 2], "kind": "image"}]
LAST = [{"name": "p", "datatype": "FP32", "shape": [-1, 2, 2, 3], "kind": "image"}]
TWO = [*NUMBERS, {"name": "y", "datatype": "INT64", "shape": [-1, 1]}]


def specs(documents: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return interface.of_documents(
        documents, [{"name": "o", "datatype": "FP32", "shape": [-1, 1]}], (), "h.py"
    ).inputs


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


LEVELS = [at / 255 for at in (0, 1, 7, 100, 101, 128, 200, 201, 250, 253, 254, 255)]


@pytest.mark.parametrize(
    ("documents", "row", "kind"),
    [
        (IMAGE, [Tensor("image", "UINT8", (1, 4, 4), bytes(range(0, 256, 16)))], "image"),
        (IMAGE, [Tensor("image", "FP32", (1, 4, 4), floats(*range(0, 256, 16)))], "image"),
        (IMAGE, [Tensor("image", "FP32", (1, 4, 4), floats(*[0.5] * 16))], "tensors"),
        (IMAGE, [Tensor("image", "FP32", (1, 4, 4), floats(*[-1] * 16))], "tensors"),
        (IMAGE, [Tensor("image", "FP32", (1, 4, 4), floats(*[256] * 16))], "tensors"),
        (PIXELS, [Tensor("p", "FP32", (1, 3, 2, 2), floats(*LEVELS))], "image"),
        (LAST, [Tensor("p", "FP32", (1, 2, 2, 3), floats(*LEVELS))], "image"),
        (WINE, [Tensor("row", "FP32", (1, 2), floats(13.2, 1))], "row"),
        (WINE, [Tensor("row", "FP32", (1, 2), floats(13.2, 0.5))], "tensors"),
        (WINE, [Tensor("row", "FP32", (1, 2), floats(99, 1))], "tensors"),
        (GAPS, [Tensor("row", "BYTES", (1, 2), [b"", b"red"])], "row"),
        (GAPS, [Tensor("row", "BYTES", (1, 2), [b"7", b""])], "tensors"),
        (TEXT, [Tensor("text", "BYTES", (1,), ["süß".encode()])], "text"),
        (TEXT, [Tensor("text", "BYTES", (1,), [b"\xff"])], "tensors"),
        (TEXT, [Tensor("text", "BYTES", (1,), [b""])], "tensors"),
        (PLAIN, [Tensor("data", "BYTES", (1,), [b"a text"])], "text"),
        (NUMBERS, [Tensor("x", "FP32", (1, 3), floats(1, 2, 3))], "tensors"),
        (
            TWO,
            [Tensor("x", "FP32", (1, 3), floats(1, 2, 3)), Tensor("y", "INT64", (1, 1), bytes(8))],
            "tensors",
        ),
    ],
)
def test_a_row_is_kept_as_its_kind_and_is_the_same_when_it_is_sent_again(
    documents: list[dict[str, Any]], row: list[Tensor], kind: str
) -> None:
    taken = specs(documents)
    found = inputs.of_row(row, taken)
    assert found.kind == kind
    content = inputs.kinds()[kind].load(found.file)
    if kind != "image":
        assert inputs.kinds()[kind].tensors(content, taken) == row
    elif "BYTES" not in taken[0].accepts:
        [again] = inputs.kinds()[kind].tensors(content, taken)
        assert again.values() == pytest.approx(row[0].values(), abs=1e-6)


def test_a_row_of_a_table_is_what_somebody_would_type() -> None:
    found = inputs.of_row([Tensor("row", "FP32", (1, 2), floats(13.2, 1))], specs(WINE))
    assert found.content == {"alcohol": 13.2, "color": "white"}
    typed = inputs.kinds()["row"].parse({"alcohol": 13.2, "color": "white"})
    assert found.sha256 == typed.sha256


def test_an_image_file_is_the_same_input_as_when_a_page_sends_it() -> None:
    found = inputs.of_row([Tensor("image", "BYTES", (1,), [make_image(7)])], specs(IMAGE))
    assert found.sha256 == inputs.kinds()["image"].parse(make_image(7)).sha256


def test_what_cannot_be_kept_says_so() -> None:
    half = [{"name": "x", "datatype": "FP16", "shape": [-1, 2]}]
    with pytest.raises(MarinaError, match="FP16"):
        inputs.of_row([Tensor("x", "FP16", (1, 2), bytes(4))], specs(half))
