"""Every datatype of v2 on a real front, against bytes that are made by hand."""

import base64

import pytest

from serving_runtime.contracts import DATATYPES

from ..conftest import Front
from .asking import VALUES, echoed, parted, reason, strings

pytestmark = pytest.mark.section("Datatypes")

NO_TEXT = [b"\xff\x00\x80", bytes(range(256))]


def test_every_datatype_has_values() -> None:
    assert VALUES.keys() == set(DATATYPES)


@pytest.mark.row("`{datatype}` in JSON")
@pytest.mark.parametrize("datatype", [each for each in VALUES if each != "FP16"])
def test_json_keeps_every_value(served: Front, datatype: str) -> None:
    values, raw = VALUES[datatype]
    (output,), _ = parted(echoed(served, datatype, binary=False, data=values))
    assert [output["datatype"], output["shape"], output["data"]] == [datatype, [1, 2], values]
    assert list(map(type, output["data"])) == list(map(type, values))  # to Python 1 is True as well
    _, found = parted(echoed(served, datatype, binary=True, data=values))
    assert found == raw


@pytest.mark.row("`{datatype}` in binary")
@pytest.mark.parametrize("datatype", VALUES)
def test_binary_keeps_every_bit(served: Front, datatype: str) -> None:
    values, raw = VALUES[datatype]
    (output,), found = parted(echoed(served, datatype, binary=True, raw=raw))
    assert [output["datatype"], output["shape"], output["parameters"]] == [
        datatype,
        [1, 2],
        {"binary_data_size": len(raw)},
    ]
    assert found == raw
    if datatype != "FP16":
        (output,), _ = parted(echoed(served, datatype, binary=False, raw=raw))
        assert output["data"] == values


@pytest.mark.row("`BYTES` that are no text, in binary")
def test_bytes_that_are_no_text_in_binary(served: Front) -> None:
    raw = strings(*NO_TEXT)
    _, found = parted(echoed(served, "BYTES", binary=True, raw=raw))
    assert found == raw


@pytest.mark.row("`BYTES` that are no text, in JSON as base64 with the parameter `content_type: base64`")
def test_bytes_that_are_no_text_in_json(served: Front) -> None:
    parameters = {"content_type": "base64"}
    data = [base64.b64encode(element).decode() for element in NO_TEXT]
    (output,), _ = parted(echoed(served, "BYTES", binary=False, data=data, parameters=parameters))
    assert (output["data"], output["parameters"]) == (data, parameters)


@pytest.mark.row("an element that its datatype cannot hold is rejected, not changed")
@pytest.mark.parametrize(
    ("datatype", "element"),
    [
        ("UINT8", 256),
        ("UINT16", -1),
        ("UINT32", 2**32),
        ("UINT64", -1),
        ("INT8", -129),
        ("INT64", 2**63),
        ("INT32", 1.5),
        ("INT32", True),
        ("BOOL", 1),
        ("FP32", 1e39),
        ("FP32", "1"),
        ("FP64", None),
        ("BYTES", 1),
    ],
)
def test_what_does_not_fit_is_rejected(served: Front, datatype: str, element: object) -> None:
    first = VALUES[datatype][0][0]
    assert datatype in reason(echoed(served, datatype, binary=True, data=[first, element]), 400)
