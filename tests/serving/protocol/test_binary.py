"""Binary tensors as pure functions: what is read, what is rejected, and that hostile sizes read nothing else."""

import math
import struct
import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving_runtime.archive.tensor_kinds import TensorSpec as Spec
from serving_runtime.errors import InvalidRequest
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import NUMBERS, Tensor

PNG = b"\x89PNG\r\n\x1a\n...."
IMAGE = Spec("image", "UINT8", (-1, 2, 3), ("UINT8", "FP32", "BYTES"))
PIXELS = bytes([1, 2, 3, 4, 5, 6])
HALF = Spec("half", "FP16", (-1,), ("FP16",))
TOTAL = Spec("total", "FP32", (-1,), ("FP32",))
LABEL = Spec("label", "BYTES", (-1,), ("BYTES",))


def spec(datatype: str) -> Spec:
    return Spec("x", datatype, (-1,), (datatype,))


def body(datatype: str, shape: list[Any], raw: bytes, size: object = None, **more: Any) -> tuple[bytes, int]:
    """A request with one binary input `x`."""
    parameters = {"binary_data_size": len(raw) if size is None else size}
    item = {"name": "x", "datatype": datatype, "shape": shape, "parameters": parameters, **more}
    text = orjson.dumps({"inputs": [item]})
    return text + raw, len(text)


def decode(datatype: str, shape: list[Any], raw: bytes, size: object = None, **more: Any) -> Tensor:
    content, json_size = body(datatype, shape, raw, size, **more)
    return rest.decode_request(content, (spec(datatype),), (), json_size=json_size).inputs[0]


def strings(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


class TestDecode:
    @pytest.mark.parametrize("datatype", NUMBERS)
    def test_numbers_are_taken_as_they_are(self, datatype: str) -> None:
        raw = bytes([1, 0] * NUMBERS[datatype][1])
        assert decode(datatype, [2], raw[: 2 * NUMBERS[datatype][1]]).data == raw[: 2 * NUMBERS[datatype][1]]

    def test_bytes_are_taken_as_they_are(self) -> None:
        assert decode("BYTES", [3], strings(b"", b"\xff\x00", b"abc")).data == [b"", b"\xff\x00", b"abc"]

    def test_half_floats_have_values(self) -> None:
        assert decode("FP16", [3], struct.pack("<3e", 0.5, -0.0, 65504)).values() == [0.5, -0.0, 65504]

    def test_a_body_without_json_is_the_only_tensor(self) -> None:
        request = rest.decode_request(PIXELS * 3, (IMAGE,), (TOTAL,), json_size=0)
        assert request.inputs == (Tensor("image", "UINT8", (3, 2, 3), PIXELS * 3),)
        assert request.rows == 3
        image = rest.decode_request(PNG, (IMAGE,), (TOTAL,), json_size=0)
        assert image.inputs == (Tensor("image", "BYTES", (1,), [PNG]),)
        text = rest.decode_request(b"", (spec("BYTES"),), (TOTAL,), json_size=0)
        assert text.inputs == (Tensor("x", "BYTES", (1,), [b""]),)

    @pytest.mark.parametrize(
        ("inputs", "content"),
        [
            ((IMAGE,), b""),
            ((IMAGE,), bytes(7)),
            ((IMAGE, HALF), PIXELS),
            ((Spec("x", "BYTES", (-1, 2), ("BYTES",)),), b"a"),
            ((spec("FP32"),), struct.pack("<f", math.nan)),
        ],
    )
    def test_a_body_without_json_that_is_no_tensor(self, inputs: tuple[Spec, ...], content: bytes) -> None:
        with pytest.raises(InvalidRequest):
            rest.decode_request(content, inputs, (TOTAL,), json_size=0)


class TestRefuse:
    @pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_nan_and_infinity_as_in_json(self, datatype: str, value: float) -> None:
        raw = struct.pack(f"<2{NUMBERS[datatype][0]}", 1.0, value)
        with pytest.raises(InvalidRequest, match="'x'"):
            decode(datatype, [2], raw)

    @pytest.mark.parametrize(
        ("datatype", "shape", "raw", "size"),
        [
            ("FP32", [2], bytes(8), 7),
            ("FP32", [2], bytes(7), 7),
            ("FP32", [2], bytes(8), 9),
            ("FP32", [2], bytes(12), 12),
            ("FP32", [2**61], bytes(8), 8),
            ("UINT8", [4], bytes(4), -1),
            ("UINT8", [4], bytes(4), 2**63),
            ("UINT8", [4], bytes(4), 4.0),
            ("UINT8", [4], bytes(4), True),
            ("UINT8", [1], bytes(1), True),
            ("BOOL", [1], b"\x02", None),
            ("BYTES", [2], strings(b"a"), None),
            ("BYTES", [1], strings(b"a", b"b"), None),
            ("BYTES", [1], b"\x01\x00\x00", None),
            ("BYTES", [1], b"\xff\xff\xff\xffa", None),
            ("BYTES", [1], b"\x02\x00\x00\x00a", None),
            ("BYTES", [1], b"", None),
            ("BYTES", [1], strings(b"a") + b"\x00", None),
        ],
    )
    def test_sizes_that_do_not_fit(self, datatype: str, shape: list[int], raw: bytes, size: object) -> None:
        with pytest.raises(InvalidRequest):
            decode(datatype, shape, raw, size)

    def test_both_data_and_a_size(self) -> None:
        with pytest.raises(InvalidRequest, match="both"):
            decode("UINT8", [1], b"\x01", data=[1])

    def test_a_image_that_is_none(self) -> None:
        raw = strings(b"GIF89a")
        item = {
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "parameters": {"binary_data_size": len(raw)},
        }
        text = orjson.dumps({"inputs": [item]})
        with pytest.raises(InvalidRequest, match="PNG"):
            rest.decode_request(text + raw, (IMAGE,), (), json_size=len(text))

    @pytest.mark.parametrize("json_size", [1, 5, 10**12])
    def test_a_length_of_the_json_that_is_wrong(self, json_size: int) -> None:
        content, _ = body("UINT8", [1], b"\x01")
        with pytest.raises(InvalidRequest):
            rest.decode_request(content, (spec("UINT8"),), (), json_size=json_size)

    def test_ten_megabytes_of_empty_strings_cost_little(self) -> None:
        raw = bytes(10 * 1024 * 1024)
        began = time.process_time()
        with pytest.raises(InvalidRequest, match="at most"):
            decode("BYTES", [len(raw) // 4], raw)
        with pytest.raises(InvalidRequest, match="does not hold"):
            decode("BYTES", [2], raw)
        assert time.process_time() - began < 0.5

    def test_half_floats_are_only_given_in_binary(self) -> None:
        plain: dict[str, Any] = {"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1], "data": [1]}]}
        rejected: list[dict[str, Any]] = [{}, {"outputs": [{"name": "half"}]}]
        for asked in rejected:
            with pytest.raises(InvalidRequest, match="FP16 has no JSON form"):
                rest.decode_request(orjson.dumps(plain | asked), (spec("UINT8"),), (TOTAL, HALF))
        taken: list[dict[str, Any]] = [
            {"outputs": [{"name": "total"}]},
            {"outputs": [{"name": "half", "parameters": {"binary_data": True}}]},
            {"parameters": {"binary_data_output": True}},
        ]
        for asked in taken:
            rest.decode_request(orjson.dumps(plain | asked), (spec("UINT8"),), (TOTAL, HALF))


class TestHostile:
    @settings(max_examples=500)
    @given(
        st.sampled_from([*NUMBERS, "BYTES"]),
        st.lists(st.integers(-1, 5) | st.integers(2**31, 2**65), max_size=2),
        st.binary(max_size=40),
        st.none() | st.integers(-2, 45) | st.integers(2**31, 2**65) | st.floats() | st.booleans(),
        st.integers(-5, 120),
    )
    def test_any_sizes_are_read_whole_or_rejected(
        self, datatype: str, shape: list[int], raw: bytes, size: object, moved: int
    ) -> None:
        import json

        item = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
        if size is None:
            item["parameters"] = {"binary_data_size": len(raw)}
        text = json.dumps({"inputs": [item]}).encode()
        for json_size in (len(text), len(text) + moved):
            try:
                request = rest.decode_request(text + raw, (spec(datatype),), (), json_size=json_size)
            except InvalidRequest as error:
                orjson.loads(rest.encode_error(str(error), error.code))
                continue
            data = request.inputs[0].data
            read = b"".join(data) if isinstance(data, list) else data
            framing = 4 * len(data) if isinstance(data, list) else 0
            assert len(read) + framing == len(raw)

    @settings(max_examples=300)
    @given(st.integers(0, 200), st.integers(0, 255))
    def test_a_changed_byte_is_read_or_rejected(self, position: int, byte: int) -> None:
        content, json_size = body("BYTES", [2], strings(b"abc", b"de"))
        changed = bytearray(content)
        changed[position % len(changed)] = byte
        for candidate in (bytes(changed), content[: position % len(content)]):
            try:
                rest.decode_request(candidate, (spec("BYTES"),), (), json_size=json_size)
            except InvalidRequest as error:
                orjson.loads(rest.encode_error(str(error), error.code))


class TestAnswers:
    OUTPUTS = (
        Tensor("p", "FP32", (1, 2), struct.pack("<2f", 0.25, 0.75)),
        Tensor("label", "BYTES", (1,), [b"\xff"]),
        Tensor("half", "FP16", (2,), struct.pack("<2e", 0.5, 2)),
    )

    def test_an_answer_reads_back(self) -> None:
        content, size = rest.encode_binary_response("m", "3", "id", self.OUTPUTS, {"p", "label", "half"})
        answer = rest.parse_response(content, size)
        assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "id")
        assert tuple(answer.outputs.values()) == self.OUTPUTS

    def test_only_what_was_asked_for_is_binary(self) -> None:
        content, size = rest.encode_binary_response("m", "3", None, self.OUTPUTS, {"half"})
        listed = orjson.loads(content[:size])["outputs"]
        assert ["data" in item for item in listed] == [True, True, False]
        assert len(content) - size == 4
        assert tuple(rest.parse_response(content, size).outputs.values()) == self.OUTPUTS

    def test_bytes_that_are_no_text_are_marked_as_base64_in_json(self) -> None:
        document = orjson.loads(rest.encode_response("m", "3", None, self.OUTPUTS[1:2]))
        assert document["outputs"][0]["data"] == ["/w=="]
        assert document["outputs"][0]["parameters"] == {"content_type": "base64"}
        text = orjson.loads(rest.encode_response("m", "3", None, [Tensor("label", "BYTES", (1,), [b"/w=="])]))
        assert "parameters" not in text["outputs"][0]

    def test_a_clients_request_is_what_the_server_reads(self) -> None:
        def asked(**more: Any) -> rest.InferRequest:
            """What is read of a request with one file."""
            raw = struct.pack("<I", len(PNG)) + PNG
            item = {
                "name": "image",
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"binary_data_size": len(raw)},
            }
            text = orjson.dumps({"inputs": [item], **more})
            return rest.decode_request(text + raw, (IMAGE,), (TOTAL, LABEL), json_size=len(text))

        sent = Tensor("image", "BYTES", (1,), [PNG])
        request = asked(id="7", parameters={"return_preprocessed": True, "binary_data_output": True})
        everything = frozenset({"total", "label"})
        assert request == rest.InferRequest("7", (sent,), 1, (), (), everything, binary_by_default=True)
        request = asked(outputs=[{"name": "label"}])
        assert (request.inputs, request.outputs, request.binary) == ((sent,), ("label",), frozenset())

    @pytest.mark.parametrize("size", [0, 5, 10_000, -1])
    def test_another_servers_nonsense_is_no_answer(self, size: int) -> None:
        content, _ = rest.encode_binary_response("m", "3", None, self.OUTPUTS, {"p"})
        with pytest.raises(rest.InvalidResponse):
            rest.parse_response(content, size)
