"""v2 answers as pure functions: what is written reads back, and only what the model spec declares is passed on."""

import math
import struct

import orjson
import pytest

from serving_runtime.archive.tensor_kinds import TensorSpec as Spec
from serving_runtime.contracts import ErrorCode
from serving_runtime.errors import ModelFailed
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor

IMAGE = Spec("image", "UINT8", (-1, 2, 3), ("UINT8", "FP32", "BYTES"))
TOTAL = Spec("total", "FP32", (-1,), ("FP32",))
LABEL = Spec("label", "BYTES", (-1,), ("BYTES",))
PNG = b"\x89PNG\r\n\x1a\n...."


class TestAnswers:
    def test_an_answer_reads_back(self) -> None:
        outputs = [
            Tensor("p", "FP32", (1, 2), struct.pack("<2f", 0.25, 0.75)),
            Tensor("label", "BYTES", (1,), [b"five"]),
            Tensor("preprocessed", "UINT8", (1, 2), b"\x00\xff"),
        ]
        answer = rest.parse_response(rest.encode_response("m", "3", "id", outputs))
        assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "id")
        assert list(answer.outputs.values()) == outputs

    def test_version_and_id_are_left_out_when_there_are_none(self) -> None:
        assert orjson.loads(rest.encode_response("m", None, None, [])) == {
            "model_name": "m",
            "outputs": [],
        }

    def test_float32_keeps_every_bit(self) -> None:
        data = struct.pack("<3f", 0.1, 1 / 3, 1e-30)
        answer = rest.encode_response("m", "1", None, [Tensor("p", "FP32", (3,), data)])
        assert rest.parse_response(answer).outputs["p"].data == data

    def test_a_clients_request_is_what_the_server_reads(self) -> None:
        sent = Tensor("image", "BYTES", (1,), [PNG])
        body = rest.build_request(
            [sent], request_id="7", outputs=["label"], parameters={"return_preprocessed": True}
        )
        taken = {"return_preprocessed"}
        request = rest.decode_request(body, (IMAGE,), (TOTAL, LABEL), accepts=taken)
        assert request == rest.InferRequest("7", (sent,), 1, ("label",), (("return_preprocessed", True),))
        pixels = Tensor("image", "UINT8", (1, 2, 3), bytes(6))
        assert rest.decode_request(rest.build_request([pixels]), (IMAGE,), ()).inputs == (pixels,)

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"model_name":"m","outputs":[{}]}', b'{"error":"x"}']
    )
    def test_another_servers_nonsense_is_no_answer(self, body: bytes) -> None:
        with pytest.raises(rest.InvalidResponse):
            rest.parse_response(body)

    def test_errors_are_read_from_any_body(self) -> None:
        assert rest.parse_error(rest.encode_error("no", ErrorCode.NOT_READY)) == "no"
        assert rest.parse_error(b"<html>") == "the server gave no reason"

    def test_clients_decide_by_the_code_of_an_error(self) -> None:
        assert rest.parse_error_code(rest.encode_error("no", ErrorCode.QUEUE_FULL)) is ErrorCode.QUEUE_FULL
        for body in (b"<html>", b'{"error":"no"}', b'{"error":"no","code":"other"}', b'{"code":[]}'):
            assert rest.parse_error_code(body) is None


class TestCheckOutputs:
    def check(self, *outputs: Tensor) -> None:
        rest.check_outputs(outputs, (TOTAL, LABEL), 2)

    def test_what_the_spec_promises_passes(self) -> None:
        self.check(Tensor("total", "FP32", (2,), bytes(8)), Tensor("label", "BYTES", (2,), [b"a", b"b"]))

    @pytest.mark.parametrize(
        ("total", "reason"),
        [
            (Tensor("other", "FP32", (2,), bytes(8)), "did not answer"),
            (Tensor("total", "FP64", (2,), bytes(16)), "FP64"),
            (Tensor("total", "FP32", (3,), bytes(12)), "shape"),
            (Tensor("total", "FP32", (2, 1), bytes(8)), "shape"),
            (Tensor("total", "FP32", (2,), struct.pack("<2f", 1, math.nan)), "NaN"),
            (Tensor("total", "FP32", (2,), struct.pack("<2f", math.inf, -math.inf)), "NaN"),
        ],
    )
    def test_anything_else_is_the_models_fault(self, total: Tensor, reason: str) -> None:
        with pytest.raises(ModelFailed, match=reason):
            self.check(total, Tensor("label", "BYTES", (2,), [b"a", b"b"]))

    def test_an_undeclared_output(self) -> None:
        label = Tensor("label", "BYTES", (2,), [b"a", b"b"])
        with pytest.raises(ModelFailed, match="undeclared"):
            self.check(Tensor("total", "FP32", (2,), bytes(8)), label, Tensor("more", "FP32", (2,), bytes(8)))

    def test_an_undeclared_output_that_a_parameter_may_have_asked_for(self) -> None:
        declared = [Tensor("total", "FP32", (2,), bytes(8)), Tensor("label", "BYTES", (2,), [b"a", b"b"])]
        rest.check_outputs([*declared, Tensor("more", "FP32", (2,), bytes(8))], (TOTAL, LABEL), 2, more=True)
        endless = Tensor("more", "FP32", (2,), struct.pack("<2f", 1, math.nan))
        with pytest.raises(ModelFailed, match="NaN"):
            rest.check_outputs([*declared, endless], (TOTAL, LABEL), 2, more=True)
