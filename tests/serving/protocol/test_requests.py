"""The v2 protocol as pure functions: what is read, what is rejected, and that nothing else can happen."""

import base64
import math
import re
import struct
import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_runtime.archive.tensor_kinds import Column
from serving_runtime.archive.tensor_kinds import TensorSpec as Spec
from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import NUMBERS, Tensor

IMAGE = Spec("image", "UINT8", (-1, 2, 3), ("UINT8", "FP32", "BYTES"))
MASK = Spec("mask", "BOOL", (-1, 2), ("BOOL",))
TOTAL = Spec("total", "FP32", (-1,), ("FP32",))
LABEL = Spec("label", "BYTES", (-1,), ("BYTES",))
PNG = b"\x89PNG\r\n\x1a\n...."


def spec(datatype: str, *shape: int) -> Spec:
    return Spec("x", datatype, (-1, *shape), (datatype,))


def image(**changes: Any) -> dict[str, Any]:
    """The input of a good request, with changes; a value of None removes the key."""
    item = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "data": [1, 2, 3, 4, 5, 6], **changes}
    return {key: value for key, value in item.items() if value is not None}


def decode(document: Any, inputs: tuple[Spec, ...] = (IMAGE,)) -> rest.InferRequest:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return rest.decode_request(body, inputs, (TOTAL, LABEL))


def decode_one(datatype: str, data: Any, *, shape: list[int] | None = None, **more: Any) -> Tensor:
    """Decode one tensor of one dimension."""
    item = {"name": "x", "datatype": datatype, "shape": shape or [len(data)], "data": data, **more}
    return decode({"inputs": [item]}, (spec(datatype),)).inputs[0]


def _nested(data: list[Any], levels: int) -> list[Any]:
    for _ in range(levels):
        data = [[each] for each in data]
    return data


COLUMNS = (
    Column("alcohol", unit="% vol", minimum=11, maximum=15),
    Column("color", categories=("red", "white")),
)
ROW = Spec("row", "FP32", (-1, 2), ("FP32",), "table", columns=COLUMNS)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            [12, 0, "much", 1],
            "input 'row', column 'alcohol': send a number from 11 to 15 % vol, not a string",
        ),
        (
            [12, "red", 13, 1],
            "input 'row', column 'color': send the index of its category: 0 red, 1 white, not a string",
        ),
        ([[12, 0], [None, 1]], "column 'alcohol'"),
    ],
)
def test_a_wrong_value_of_a_table_names_its_column_and_what_it_takes(data: list[Any], said: str) -> None:
    item = {"name": "row", "datatype": "FP32", "shape": [2, 2], "data": data}
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        decode({"inputs": [item]}, (ROW,))


class TestDecode:
    def test_flat_and_nested_data_are_the_same(self) -> None:
        flat = decode({"inputs": [image()]})
        nested = decode({"inputs": [image(data=[[[1, 2, 3], [4, 5, 6]]])]})
        assert flat == nested
        assert flat.inputs == (Tensor("image", "UINT8", (1, 2, 3), bytes([1, 2, 3, 4, 5, 6])),)
        assert flat.rows == 1

    @pytest.mark.parametrize(
        ("datatype", "values"),
        [
            ("BOOL", [True, False]),
            ("UINT8", [0, 255]),
            ("UINT16", [0, 2**16 - 1]),
            ("UINT32", [0, 2**32 - 1]),
            ("UINT64", [0, 2**64 - 1]),
            ("INT8", [-128, 127]),
            ("INT16", [-(2**15), 2**15 - 1]),
            ("INT32", [-(2**31), 2**31 - 1]),
            ("INT64", [-(2**63), 2**63 - 1]),
            ("FP32", [0.5, -0.0]),
            ("FP64", [0.1, 1e308]),
        ],
    )
    def test_every_datatype_keeps_its_values(self, datatype: str, values: list[Any]) -> None:
        tensor = decode_one(datatype, values)
        assert tensor.values() == values
        assert len(tensor.data) == 2 * NUMBERS[datatype][1]

    def test_numbers_are_little_endian(self) -> None:
        assert decode_one("FP32", [1, 0.25]).data == struct.pack("<2f", 1, 0.25)
        assert decode_one("UINT16", [258]).data == b"\x02\x01"

    def test_text_and_base64_in_bytes_tensors(self) -> None:
        assert decode_one("BYTES", ["a", "ü"]).data == [b"a", "ü".encode()]
        encoded = base64.b64encode(b"\xff\x00").decode()
        assert decode_one("BYTES", [encoded], parameters={"content_type": "base64"}).data == [b"\xff\x00"]

    def test_an_image_is_one_row(self) -> None:
        texts = [base64.b64encode(PNG).decode(), base64.encodebytes(PNG).decode()]
        request = decode({"inputs": [image(datatype="BYTES", shape=[2], data=texts)]})
        assert request.rows == 2
        assert request.inputs[0].data == [PNG, PNG]

    @pytest.mark.parametrize("shape", [[2, 1], [2, 1, 1], [2, 1, 1, 1, 1, 1, 1, 1]])
    def test_strings_may_come_as_a_column(self, shape: list[int]) -> None:
        nested: Any = ["a", "b"]
        for data in (nested, _nested(nested, len(shape) - 1)):
            assert decode_one("BYTES", data, shape=shape) == Tensor("x", "BYTES", (2,), [b"a", b"b"])
        texts = [base64.b64encode(PNG).decode()] * 2
        request = decode({"inputs": [image(datatype="BYTES", shape=shape, data=texts)]})
        assert (request.rows, request.inputs[0].shape) == (2, (2,))

    @pytest.mark.parametrize("shape", [[1, 2], [2, 0], [0, 1], [2, 2], [2, 1, 2], [2, -1], [2, *[1] * 8]])
    def test_another_shape_of_strings_is_no_column(self, shape: list[int]) -> None:
        with pytest.raises(InvalidRequest, match="does not fit"):
            decode_one("BYTES", ["a", "b"], shape=shape)

    def test_a_column_of_numbers_or_of_declared_width_stays_what_it_is(self) -> None:
        with pytest.raises(InvalidRequest, match="does not fit"):
            decode_one("INT32", [1, 2], shape=[2, 1])
        wide = {"name": "x", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "b"]}
        assert decode({"inputs": [wide]}, (spec("BYTES", 1),)).inputs[0].shape == (2, 1)

    def test_id_and_outputs(self) -> None:
        request = decode({"id": "a:b", "inputs": [image()], "outputs": [{"name": "label"}]})
        assert (request.id, request.outputs) == ("a:b", ("label",))

    def test_of_a_key_given_twice_the_last_counts(self) -> None:
        body = GOOD.replace(b'"name"', b'"name":"other","name"')
        assert rest.decode_request(body, (IMAGE,), (TOTAL, LABEL)).inputs[0].name == "image"

    def test_only_parameters_that_the_handler_takes_go_on(self) -> None:
        body = orjson.dumps({"inputs": [image()], "parameters": {"top": 3, "priority": 1, "all": True}})
        request = rest.decode_request(body, (IMAGE,), (TOTAL, LABEL), accepts={"top", "all", "half"})
        assert request.parameters == (("all", True), ("top", 3))
        assert rest.decode_request(body, (IMAGE,), (TOTAL, LABEL)).parameters == ()

    def test_inputs_come_in_the_models_order(self) -> None:
        mask = {"name": "mask", "datatype": "BOOL", "shape": [1, 2], "data": [True, False]}
        request = decode({"inputs": [mask, image()]}, (IMAGE, MASK))
        assert [tensor.name for tensor in request.inputs] == ["image", "mask"]

    def test_colons_and_quotes_in_strings_are_not_keys(self) -> None:
        assert decode({"id": '": "a\\": \\', "inputs": [image()]}).id == '": "a\\": \\'


def nested(depth: int) -> bytes:
    data = b"[" * depth + b"]" * depth
    return b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,2,3],"data":' + data + b"}]}"


GOOD = orjson.dumps({"inputs": [image()]})
REJECTED: dict[str, Any] = {
    # bodies that are no JSON, or no request
    "empty": b"",
    "not json": b"hello",
    "half": GOOD[:-5],
    "utf-16": GOOD.decode().encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + GOOD,
    "invalid utf-8": GOOD.replace(b"image", b"im\xffge"),
    "lone surrogate": GOOD.replace(b"image", rb"\ud800"),
    "trailing": GOOD + b"{}",
    "a list": [],
    "a number": 1,
    "null": None,
    "nothing": {},
    "inputs is an object": {"inputs": {}},
    "no inputs": {"inputs": []},
    "an input is a list": {"inputs": [[]]},
    "an input without a name": {"inputs": [image(name=None)]},
    "a name that is a number": {"inputs": [image(name=1)]},
    "depth 100": nested(100),
    "depth 1000": nested(1000),
    "depth 100000": nested(100_000),
    "depth a million": nested(1_000_000),
    "NaN": GOOD.replace(b"[1,2,3,4", b"[NaN,2,3,4"),
    "Infinity": GOOD.replace(b"[1,2,3,4", b"[Infinity,2,3,4"),
    "a number of 5,000 digits": GOOD.replace(b"[1,2,3,4", b"[" + b"9" * 5000 + b",2,3,4"),
    # names
    "unknown input": {"inputs": [image(), image(name="other")]},
    "double input": {"inputs": [image(), image()]},
    "100,000 inputs": {"inputs": [image()] * 100_000},
    "unknown output": {"inputs": [image()], "outputs": [{"name": "x"}]},
    "double output": {"inputs": [image()], "outputs": [{"name": "label"}] * 2},
    "100,000 outputs": {"inputs": [image()], "outputs": [{"name": "label"}] * 100_000},
    "outputs is an object": {"inputs": [image()], "outputs": {}},
    "an output is a string": {"inputs": [image()], "outputs": ["label"]},
    # shapes
    "no shape": {"inputs": [image(shape=None)]},
    "a shape that is a number": {"inputs": [image(shape=6)]},
    "another shape": {"inputs": [image(shape=[6])]},
    "another order": {"inputs": [image(shape=[1, 3, 2])]},
    "no rows": {"inputs": [image(shape=[0, 2, 3], data=[])]},
    "negative rows": {"inputs": [image(shape=[-1, 2, 3])]},
    "rows 2^63": {"inputs": [image(shape=[2**63, 2, 3])]},
    "rows 10^30": GOOD.replace(b'"shape":[1', b'"shape":[' + b"1" + b"0" * 30),
    "overflowing product": {"inputs": [image(shape=[2**62, 2, 3])]},
    "a thousand dimensions": {"inputs": [image(shape=[1] * 1000)]},
    "a fraction in the shape": {"inputs": [image(shape=[1.0, 2, 3])]},
    "true in the shape": {"inputs": [image(shape=[True, 2, 3])]},
    "a string in the shape": {"inputs": [image(shape=["1", 2, 3])]},
    # data
    "no data": {"inputs": [image(data=None)]},
    "data is an object": {"inputs": [image(data={})]},
    "data is a string": {"inputs": [image(data="123456")]},
    "too few": {"inputs": [image(data=[1, 2, 3, 4, 5])]},
    "too many": {"inputs": [image(data=[1, 2, 3, 4, 5, 6, 7])]},
    "ragged": {"inputs": [image(data=[[[1, 2, 3], [4, 5]]])]},
    "half nested": {"inputs": [image(data=[[1, 2, 3], [4, 5, 6]])]},
    "nested too deep": {"inputs": [image(data=[[[[1], [2], [3]], [[4], [5], [6]]]])]},
    "list among numbers": {"inputs": [image(data=[1, 2, 3, 4, 5, [6]])]},
    "256": {"inputs": [image(data=[1, 2, 3, 4, 5, 256])]},
    "-1": {"inputs": [image(data=[1, 2, 3, 4, 5, -1])]},
    "2^64": GOOD.replace(b"6]", b"18446744073709551616]"),
    "a fraction as UINT8": {"inputs": [image(data=[1, 2, 3, 4, 5, 6.0])]},
    "true as UINT8": {"inputs": [image(data=[1, 2, 3, 4, 5, True])]},
    "null as UINT8": {"inputs": [image(data=[1, 2, 3, 4, 5, None])]},
    "a string as UINT8": {"inputs": [image(data=[1, 2, 3, 4, 5, "6"])]},
    "an object as UINT8": {"inputs": [image(data=[1, 2, 3, 4, 5, {"a": 1}])]},
    "true as FP32": {"inputs": [image(datatype="FP32", data=[1, 2, 3, 4, 5, True])]},
    "a string as FP32": {"inputs": [image(datatype="FP32", data=[1, 2, 3, 4, 5, "6"])]},
    "1e39 as FP32": {"inputs": [image(datatype="FP32", data=[1, 2, 3, 4, 5, 1e39])]},
    "1e999 as FP32": orjson.dumps({"inputs": [image(datatype="FP32")]}).replace(b"6]", b"1e999]"),
    "FP16 in JSON": {"inputs": [image(datatype="FP16")]},
    "a datatype that is not accepted": {"inputs": [image(datatype="INT64")]},
    "an unknown datatype": {"inputs": [image(datatype="uint8")]},
    "a datatype that is a list": {"inputs": [image(datatype=["UINT8"])]},
    "no datatype": {"inputs": [image(datatype=None)]},
    "an image with the shape of pixels": {"inputs": [image(datatype="BYTES", data=["a"] * 6)]},
    "an image that is a GIF": {"inputs": [image(datatype="BYTES", shape=[1], data=["R0lGODlh"])]},
    "an image that is a number": {"inputs": [image(datatype="BYTES", shape=[1], data=[5])]},
    # the rest
    "an id that is a number": {"id": 7, "inputs": [image()]},
    "a very long id": {"id": "x" * 2000, "inputs": [image()]},
    "parameters is a list": {"parameters": [], "inputs": [image()]},
    "an object as a parameter": {"parameters": {"a": {}}, "inputs": [image()]},
    "a list as an input's parameter": {"inputs": [image(parameters={"a": []})]},
    "null as an output's parameter": {
        "inputs": [image()],
        "outputs": [{"name": "label", "parameters": {"a": None}}],
    },
    "binary_data_output is 1": {"parameters": {"binary_data_output": 1}, "inputs": [image()]},
    "10 MB of zeros": {"inputs": [image(data=[0] * 5_000_000)]},
}


class TestRefuse:
    @pytest.mark.parametrize("name", REJECTED)
    def test_a_wrong_request(self, name: str) -> None:
        body = REJECTED[name] if isinstance(REJECTED[name], bytes) else orjson.dumps(REJECTED[name])
        began = time.process_time()
        with pytest.raises(InvalidRequest) as rejection:
            decode(body)
        assert time.process_time() - began < 0.5
        assert 5 < len(str(rejection.value)) < 600

    def test_a_missing_input_and_inputs_of_different_length(self) -> None:
        with pytest.raises(InvalidRequest, match="'mask' is missing"):
            decode({"inputs": [image()]}, (IMAGE, MASK))
        mask = {"name": "mask", "datatype": "BOOL", "shape": [2, 2], "data": [True] * 4}
        with pytest.raises(InvalidRequest, match="batch"):
            decode({"inputs": [image(), mask]}, (IMAGE, MASK))

    @pytest.mark.parametrize(
        ("datatype", "value"),
        [
            *((name, True) for name in NUMBERS if name != "BOOL"),
            *((name, "1") for name in NUMBERS),
            *((name, None) for name in NUMBERS),
            *((name, 1.5) for name in NUMBERS if not name.startswith("FP")),
            *((name, 2**64) for name in NUMBERS if not name.startswith("FP")),
            ("BOOL", 1),
            ("INT8", 128),
            ("INT16", 2**15),
            ("INT32", -(2**31) - 1),
            ("UINT16", -1),
            ("UINT32", 2**32),
            ("BYTES", 1),
            ("BYTES", None),
            ("BYTES", ["a"]),
        ],
    )
    def test_a_value_of_another_kind(self, datatype: str, value: Any) -> None:
        text = b"18446744073709551616" if value == 2**64 else orjson.dumps(value)
        with pytest.raises(InvalidRequest, match="'x'"):
            decode(
                b'{"inputs":[{"name":"x","datatype":"'
                + datatype.encode()
                + b'","shape":[1],"data":['
                + text
                + b"]}]}",
                (spec(datatype),),
            )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=8,
)
keys = st.sampled_from(["name", "datatype", "shape", "data", "parameters"])
datatypes = st.sampled_from([*NUMBERS, "FP16", "BYTES"])


class TestHostile:
    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_rejected(self, body: bytes) -> None:
        read_or_reject(body)

    @settings(max_examples=300)
    @given(keys, json_values, datatypes)
    def test_any_value_anywhere_is_read_or_rejected(self, key: str, value: Any, datatype: str) -> None:
        read_or_reject(dumps({"inputs": [image(datatype=datatype) | {key: value}]}))

    @given(st.sampled_from(["inputs", "outputs", "id", "parameters", "other"]), json_values)
    def test_any_value_at_the_top_is_read_or_rejected(self, key: str, value: Any) -> None:
        read_or_reject(dumps({"inputs": [image()]} | {key: value}))

    @settings(max_examples=300)
    @given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
    def test_a_changed_byte_is_read_or_rejected(self, position: int, byte: int) -> None:
        read_or_reject(GOOD[:position] + bytes([byte]) + GOOD[position + 1 :])

    @given(datatypes, st.lists(st.integers(-300, 300) | st.floats(width=32), min_size=1, max_size=12))
    def test_what_is_read_has_the_size_that_its_shape_says(self, datatype: str, data: list[Any]) -> None:
        body = dumps({"inputs": [{"name": "x", "datatype": datatype, "shape": [len(data)], "data": data}]})
        try:
            tensor = rest.decode_request(body, (spec(datatype),), ()).inputs[0]
        except InvalidRequest:
            return
        assert len(tensor.data) == len(data) * NUMBERS[datatype][1]
        assert all(map(math.isfinite, tensor.values()))


def dumps(value: Any) -> bytes:
    """JSON with everything that Python's own writer allows: NaN, Infinity, huge integers, lone surrogates."""
    import json

    return json.dumps(value).encode()


def read_or_reject(body: bytes) -> None:
    for inputs in ((IMAGE,), (spec("BYTES"),)):
        try:
            rest.decode_request(body, inputs, (TOTAL, LABEL))
        except InvalidRequest as error:
            orjson.loads(rest.encode_error(str(error), error.code))
