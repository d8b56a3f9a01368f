"""The Open Inference Protocol's own text, in JSON and with binary tensors, example by example on a real front."""

import struct
from typing import Any

import orjson
import pytest

from ..conftest import Front
from ..front.test_front import png
from .asking import ANSWER, HEADER, REQUEST, TENSORS, parted, post, reason, strings, with_sizes

GOLDEN = [1, 2, 3, 4, 5, 6]
OUTPUT = {"name": "output0", "datatype": "FP32", "shape": [2, 2]}
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3]}
RAW_IMAGE = {**IMAGE, "parameters": {"binary_data_size": 6}}


@pytest.mark.section("Inference in JSON")
class TestJson:
    @pytest.mark.row("infer: the specification's example, its shapes made to fit its data")
    @pytest.mark.parametrize("path", ["mymodel/infer", "mymodel/versions/1/infer"])
    def test_the_example_of_the_specification(self, served: Front, path: str) -> None:
        answer = post(served, REQUEST, path=path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {
            "model_name": "mymodel",
            "model_version": "1",
            "id": "42",
            "outputs": [{**OUTPUT, "data": ANSWER}],
        }

    @pytest.mark.row("infer, data nested like the shape instead of flat")
    def test_nested_data_is_the_same(self, served: Front) -> None:
        first, second = REQUEST["inputs"]
        nested = {**REQUEST, "inputs": [{**first, "data": [[1, 2], [3, 4]]}, second]}
        assert post(served, nested).json() == post(served, REQUEST).json()

    @pytest.mark.row("infer, inputs in any order")
    def test_the_order_of_the_inputs_is_the_clients(self, served: Front) -> None:
        turned = {**REQUEST, "inputs": REQUEST["inputs"][::-1]}
        assert post(served, turned).json() == post(served, REQUEST).json()

    @pytest.mark.row("infer, more rows in one request than the model takes in one call")
    def test_more_rows_than_a_batch_holds(self, served: Front) -> None:
        (total, label), _ = parted(served.infer("summing", GOLDEN * 100))
        assert (total["shape"], total["data"]) == ([100], [21.0] * 100)
        assert label["data"] == ["sum 21"] * 100

    @pytest.mark.row("infer, `outputs` absent: all are given")
    def test_without_outputs_all_are_given(self, served: Front) -> None:
        outputs, _ = parted(post(served, {"inputs": [{**IMAGE, "data": GOLDEN}]}, path="summing/infer"))
        assert [item["name"] for item in outputs] == ["total", "label"]

    @pytest.mark.row("infer, `outputs`: those and no other")
    @pytest.mark.parametrize("names", [["label"], ["total"], ["label", "total"]])
    def test_only_the_outputs_that_were_asked_for(self, served: Front, names: list[str]) -> None:
        asked = {"inputs": [{**IMAGE, "data": GOLDEN}], "outputs": [{"name": name} for name in names]}
        outputs, _ = parted(post(served, asked, path="summing/infer"))
        assert sorted(item["name"] for item in outputs) == sorted(names)

    @pytest.mark.row("infer, `id`: given back, and none where none came")
    def test_an_id_is_given_back(self, served: Front) -> None:
        for mark in ("42", "", "ü/7", "x" * 1024):
            assert post(served, {**REQUEST, "id": mark}).json()["id"] == mark
        assert "id" not in post(served, {"inputs": REQUEST["inputs"]}).json()

    @pytest.mark.row("infer, `parameters` of {where} that are unknown are ignored")
    @pytest.mark.parametrize("where", ["the request", "an input", "an output"])
    def test_unknown_parameters_are_ignored(self, served: Front, where: str) -> None:
        parameters = {"priority": 1, "timeout": 1000, "sequence_id": 7, "name": "x", "half": 0.5, "yes": True}
        first, second = REQUEST["inputs"]
        request: dict[str, Any] = {
            "the request": {**REQUEST, "parameters": parameters},
            "an input": {**REQUEST, "inputs": [{**first, "parameters": parameters}, second]},
            "an output": {**REQUEST, "outputs": [{"name": "output0", "parameters": parameters}]},
        }[where]
        assert post(served, request).json() == post(served, REQUEST).json()

    @pytest.mark.row("infer, keys of the document that are unknown are ignored (`model_name`)")
    def test_unknown_keys_are_ignored(self, served: Front) -> None:
        more = {**REQUEST, "model_name": "mymodel", "model_version": "1"}
        assert post(served, more).json() == post(served, REQUEST).json()

    @pytest.mark.row("infer, Content-Type {what}")
    @pytest.mark.parametrize(
        ("what", "value"),
        [
            ("missing", None),
            ("`application/json`", "application/json"),
            ("`application/json; charset=utf-8`", "application/json; charset=utf-8"),
            ("`application/octet-stream`", "application/octet-stream"),
            ("`application/x-www-form-urlencoded`, as curl sends", "application/x-www-form-urlencoded"),
        ],
    )
    def test_any_content_type_or_none(self, served: Front, what: str, value: str | None) -> None:
        headers = {} if value is None else {"Content-Type": value}
        body = orjson.dumps(REQUEST)
        sent = served.client.build_request("POST", "/v2/models/mymodel/infer", content=body, headers=headers)
        assert sent.headers.get("content-type") == value
        (output,), _ = parted(served.client.send(sent))
        assert output["data"] == ANSWER


@pytest.mark.section("Binary tensor data")
class TestBinary:
    @pytest.mark.row("infer, binary tensors in both directions: the example of the extension")
    @pytest.mark.parametrize("path", ["mymodel/infer", "mymodel/versions/1/infer"])
    def test_binary_inputs_and_output(self, served: Front, path: str) -> None:
        outputs = [{"name": "output0", "parameters": {"binary_data": True}}]
        request = {"model_name": "mymodel", **with_sizes(16, 2, outputs=outputs)}
        answer = post(served, request, TENSORS, path)
        assert answer.headers["content-type"] == "application/octet-stream"
        size = int(answer.headers[HEADER])
        assert orjson.loads(answer.content[:size]) == {
            "model_name": "mymodel",
            "model_version": "1",
            "outputs": [{**OUTPUT, "parameters": {"binary_data_size": 16}}],
        }
        assert struct.unpack("<4f", answer.content[size:]) == tuple(ANSWER)

    @pytest.mark.row("infer, binary inputs, outputs in JSON")
    def test_binary_inputs_alone(self, served: Front) -> None:
        (output,), rest = parted(post(served, with_sizes(16, 2), TENSORS))
        assert (output["data"], rest) == (ANSWER, b"")

    @pytest.mark.row("infer, inputs in JSON, outputs in binary")
    def test_binary_outputs_alone(self, served: Front) -> None:
        asked = {**REQUEST, "outputs": [{"name": "output0", "parameters": {"binary_data": True}}]}
        (output,), rest = parted(post(served, asked))
        assert "data" not in output
        assert struct.unpack("<4f", rest) == tuple(ANSWER)

    @pytest.mark.row("infer, inputs in JSON and in binary mixed")
    def test_json_and_binary_inputs_mixed(self, served: Front) -> None:
        request = {**REQUEST, "inputs": [REQUEST["inputs"][0], with_sizes(16, 2)["inputs"][1]]}
        (output,), _ = parted(post(served, request, b"\x01\x00"))
        assert output["data"] == ANSWER

    @pytest.mark.row("infer, binary inputs in any order")
    def test_binary_inputs_may_come_in_any_order(self, served: Front) -> None:
        request = with_sizes(16, 2)
        request["inputs"].reverse()
        (output,), _ = parted(post(served, request, TENSORS[16:] + TENSORS[:16]))
        assert output["data"] == ANSWER

    @pytest.mark.row("infer, `binary_data` for one output, the other in JSON")
    def test_one_output_in_binary(self, served: Front) -> None:
        outputs = [{"name": "total"}, {"name": "label", "parameters": {"binary_data": True}}]
        answer = post(served, {"inputs": [RAW_IMAGE], "outputs": outputs}, bytes(GOLDEN), "summing/infer")
        (total, label), rest = parted(answer)
        assert (total["data"], "data" in label, rest) == ([21.0], False, strings(b"sum 21"))

    @pytest.mark.row("infer, `binary_data_output`: all outputs in binary")
    def test_all_outputs_in_binary(self, served: Front) -> None:
        request = {"inputs": [{**IMAGE, "data": GOLDEN}], "parameters": {"binary_data_output": True}}
        outputs, rest = parted(post(served, request, path="summing/infer"))
        assert [item["parameters"]["binary_data_size"] for item in outputs] == [4, 10]
        assert rest == struct.pack("<f", 21) + strings(b"sum 21")

    @pytest.mark.row("infer, `binary_data_output` and `binary_data: false`: all outputs in binary but one")
    def test_all_outputs_in_binary_but_one(self, served: Front) -> None:
        request = {
            "inputs": [RAW_IMAGE],
            "outputs": [{"name": "total", "parameters": {"binary_data": False}}, {"name": "label"}],
            "parameters": {"binary_data_output": True, "return_preprocessed": True},
        }
        (total, label, preprocessed), rest = parted(post(served, request, bytes(GOLDEN), "summing/infer"))
        assert total["data"] == [21.0]
        assert [label["parameters"], preprocessed["parameters"]] == [
            {"binary_data_size": 10},
            {"binary_data_size": 6},
        ]
        assert rest == strings(b"sum 21") + bytes(GOLDEN)

    @pytest.mark.row(f"infer, `{HEADER}` of a body that is all JSON")
    def test_a_length_that_is_the_whole_body(self, served: Front) -> None:
        body = orjson.dumps(REQUEST)
        headers = {HEADER: str(len(body))}
        answer = served.client.post("/v2/models/mymodel/infer", content=body, headers=headers)
        assert answer.json()["outputs"][0]["data"] == ANSWER

    @pytest.mark.row(f"infer, `{HEADER}: 0`: the body is the only input, rows of it or an image")
    def test_a_body_that_is_only_a_tensor(self, served: Front) -> None:
        def total(body: bytes) -> dict[str, Any]:
            answer = served.client.post("/v2/models/summing/infer", content=body, headers={HEADER: "0"})
            return dict(answer.json()["outputs"][0])

        expected = {"name": "total", "datatype": "FP32", "shape": [2], "data": [21.0, 21.0]}
        assert total(bytes(GOLDEN * 2)) == expected
        image = png(20, 10)
        assert total(image)["data"] == [6.0 * (len(image) % 256)]

    @pytest.mark.row("infer, a PNG or JPEG as it is, as `BYTES` for an image tensor")
    def test_a_image_is_sent_as_it_is(self, served: Front) -> None:
        file = png(20, 10)
        item = {"name": "image", "datatype": "BYTES", "shape": [1]}
        request = {"inputs": [{**item, "parameters": {"binary_data_size": len(file) + 4}}]}
        answer = post(served, request, strings(file), "summing/infer")
        assert answer.json()["outputs"][0]["data"] == [6.0 * (len(file) % 256)]

    @pytest.mark.row(f"400: `{HEADER}` that cannot be")
    @pytest.mark.parametrize("value", ["-1", "1.5", "x", "0x10", "9" * 30, "100000", "17, 17"])
    def test_a_length_of_the_json_that_cannot_be(self, served: Front, value: str) -> None:
        body = orjson.dumps(with_sizes(16, 2)) + TENSORS
        answer = served.client.post("/v2/models/mymodel/infer", content=body, headers={HEADER: value})
        assert HEADER in reason(answer, 400)

    @pytest.mark.row(f"400: `{HEADER}` given twice")
    def test_two_lengths_of_the_json(self, served: Front) -> None:
        headers = [(HEADER, "20"), (HEADER, "30")]
        reason(served.client.post("/v2/models/mymodel/infer", content=b"x" * 50, headers=headers), 400)

    @pytest.mark.row("400: `binary_data_size` that does not fit the shape, the datatype or the body")
    @pytest.mark.parametrize(
        ("sizes", "tensors", "named"),
        [
            ((16, 3), TENSORS, "'input1'"),
            ((15, 2), TENSORS, "'input0'"),
            ((17, 2), TENSORS + b"\x00", "'input0'"),
            ((16, 2), TENSORS + b"\x00", "follow"),
            ((16, -2), TENSORS, "'input1'"),
            ((16, 2**63), TENSORS, "'input1'"),
            ((16, 2.0), TENSORS, "'input1'"),
            ((16, True), TENSORS, "'input1'"),
            ((16, "2"), TENSORS, "'input1'"),
            ((16, 2), TENSORS[:-1] + b"\x02", "BOOL"),
        ],
    )
    def test_sizes_that_do_not_fit_are_rejected(
        self, served: Front, sizes: tuple[object, object], tensors: bytes, named: str
    ) -> None:
        assert named in reason(post(served, with_sizes(*sizes), tensors), 400)

    @pytest.mark.row(f"400: `binary_data_size` without `{HEADER}`")
    def test_a_size_without_the_header_is_rejected(self, served: Front) -> None:
        assert HEADER in reason(post(served, with_sizes(16, 2)), 400)

    @pytest.mark.row("400: `binary_data` that is neither true nor false")
    def test_binary_data_is_true_or_false(self, served: Front) -> None:
        outputs = [{"name": "output0", "parameters": {"binary_data": 1}}]
        assert "binary_data" in reason(post(served, {**REQUEST, "outputs": outputs}), 400)
