"""The Open Inference Protocol's own text, endpoint by endpoint and example by example, on a real front."""

import struct
import time
from typing import Any

import httpx
import orjson
import pytest

from ..conftest import Front

HEADER = "Inference-Header-Content-Length"
GOLDEN = [1, 2, 3, 4, 5, 6]
# The examples of the specification, with shapes that agree with their data.
REQUEST: dict[str, Any] = {
    "id": "42",
    "inputs": [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [2], "datatype": "BOOL", "data": [True, False]},
    ],
    "outputs": [{"name": "output0"}],
}
ANSWER = [1.0, 2.0, 0.0, 0.0]


def post(served: Front, document: Any, tensors: bytes = b"", path: str = "mymodel/infer") -> httpx.Response:
    """Send a body of JSON and binary tensors."""
    text = orjson.dumps(document)
    headers = {HEADER: str(len(text))} if tensors else {}
    return served.client.post(f"/v2/models/{path}", content=text + tensors, headers=headers)


def with_sizes(*sizes: object, outputs: list[Any] | None = None) -> dict[str, Any]:
    """The specification's request with binary inputs of these sizes."""
    inputs = [
        {
            **{key: value for key, value in item.items() if key != "data"},
            "parameters": {"binary_data_size": size},
        }
        for item, size in zip(REQUEST["inputs"], sizes, strict=True)
    ]
    return {"inputs": inputs, "outputs": outputs if outputs is not None else REQUEST["outputs"]}


TENSORS = struct.pack("<4I2?", 1, 2, 3, 4, True, False)


class TestEndpoints:
    @pytest.mark.parametrize("slash", ["", "/"])
    @pytest.mark.parametrize(
        ("path", "keys"),
        [
            ("/v2", {"name", "version", "extensions"}),
            ("/v2/health/live", {"live"}),
            ("/v2/health/ready", {"ready", "live"}),
            ("/v2/models/mymodel", {"name", "versions", "platform", "inputs", "outputs"}),
            ("/v2/models/mymodel/versions/1", {"name", "versions", "platform", "inputs", "outputs"}),
            ("/v2/models/mymodel/ready", {"name", "ready"}),
            ("/v2/models/mymodel/versions/1/ready", {"name", "ready"}),
            ("/v2/models/stats", {"model_stats"}),
            ("/v2/models/mymodel/stats", {"model_stats"}),
            ("/v2/models/mymodel/versions/1/stats", {"model_stats"}),
        ],
    )
    def test_every_address_answers_with_and_without_a_slash(
        self, served: Front, path: str, keys: set[str], slash: str
    ) -> None:
        answer = served.client.get(path + slash)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == keys

    def test_only_extensions_that_exist_are_listed(self, served: Front) -> None:
        assert served.client.get("/v2").json()["extensions"] == [
            "binary_tensor_data",
            "model_configuration",
            "statistics",
        ]

    @pytest.mark.parametrize("path", ["/v2/models/my%6Dodel", "/v2/%6dodels/mymodel/versions/%31"])
    def test_quoted_letters_are_the_letters(self, served: Front, path: str) -> None:
        assert served.client.get(path).json()["name"] == "mymodel"

    def test_a_quoted_slash_does_not_part_a_name(self, served: Front) -> None:
        assert served.client.get("/v2/models%2Fmymodel").status_code == 404
        answer = served.client.get("/v2/models/mymodel%2Fversions%2F1")
        assert answer.status_code == 404
        assert answer.json()["error"] == "there is no model 'mymodel/versions/1'"

    def test_the_configuration_is_the_metadata_in_tritons_words(self, served: Front) -> None:
        assert served.client.get("/v2/models/mymodel/versions/1/config").json() == {
            "name": "mymodel",
            "platform": served.client.get("/v2/models/mymodel").json()["platform"],
            "backend": "pytorch",
            "max_batch_size": 16,
            "dynamic_batching": {},
            "input": [
                {"name": "input0", "data_type": "TYPE_UINT32", "dims": [2]},
                {"name": "input1", "data_type": "TYPE_BOOL", "dims": []},
            ],
            "output": [{"name": "output0", "data_type": "TYPE_FP32", "dims": [2]}],
        }

    def test_statistics_count_good_and_bad_requests(self, served: Front) -> None:
        def statistics() -> dict[str, Any]:
            (found,) = served.client.get("/v2/models/mymodel/stats").json()["model_stats"]
            return dict(found)

        before = statistics()
        began = int(time.time() * 1000)
        assert post(served, REQUEST).status_code == 200
        assert post(served, {}).status_code == 400
        after = statistics()
        assert after["inference_count"] - before["inference_count"] == 2
        assert after["execution_count"] > before["execution_count"]
        assert after["last_inference"] >= began
        good, bad = after["inference_stats"]["success"], after["inference_stats"]["fail"]
        assert good["count"] - before["inference_stats"]["success"]["count"] == 1
        assert bad["count"] - before["inference_stats"]["fail"]["count"] == 1
        assert good["ns"] > before["inference_stats"]["success"]["ns"]

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}', b'{"ready": false}'])
    def test_the_repository_index_lists_models_and_states(self, served: Front, body: bytes) -> None:
        answer = served.client.post("/v2/repository/index", content=body)
        assert answer.json() == [
            {"name": name, "version": "1", "state": "READY", "reason": ""}
            for name in ("echo", "mymodel", "summing")
        ]

    @pytest.mark.parametrize("body", [b"[]", b'{"ready": 1}', b'{"ready": true, "ready": false}', b"{"])
    def test_a_wrong_filter_of_the_index_is_refused(self, served: Front, body: bytes) -> None:
        assert served.client.post("/v2/repository/index", content=body).status_code == 400

    @pytest.mark.parametrize("verb", ["load", "unload"])
    def test_loading_is_refused_with_what_to_do_instead(self, served: Front, verb: str) -> None:
        answer = served.client.post(f"/v2/repository/models/mymodel/{verb}", content=b"{}")
        assert answer.status_code == 403
        assert "deployments" in answer.json()["error"]


class TestJson:
    @pytest.mark.parametrize("path", ["mymodel/infer", "mymodel/versions/1/infer", "mymodel/infer/"])
    def test_the_example_of_the_specification(self, served: Front, path: str) -> None:
        assert post(served, REQUEST, path=path).json() == {
            "model_name": "mymodel",
            "model_version": "1",
            "id": "42",
            "outputs": [{"name": "output0", "datatype": "FP32", "shape": [2, 2], "data": ANSWER}],
        }

    def test_nested_data_is_the_same(self, served: Front) -> None:
        first, second = REQUEST["inputs"]
        nested = {**REQUEST, "inputs": [{**first, "data": [[1, 2], [3, 4]]}, second]}
        assert post(served, nested).json() == post(served, REQUEST).json()

    def test_without_an_id_and_outputs_all_are_given_and_no_id(self, served: Front) -> None:
        document = post(served, {"inputs": REQUEST["inputs"]}).json()
        assert "id" not in document
        assert [item["name"] for item in document["outputs"]] == ["output0"]

    def test_parameters_that_nobody_knows_are_passed_over(self, served: Front) -> None:
        parameters = {"priority": 1, "timeout": 1000, "name": "x", "half": 0.5, "yes": True}
        assert post(served, {**REQUEST, "parameters": parameters}).status_code == 200


class TestBinary:
    def test_binary_inputs_and_output(self, served: Front) -> None:
        outputs = [{"name": "output0", "parameters": {"binary_data": True}}]
        answer = post(served, with_sizes(16, 2, outputs=outputs), TENSORS)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/octet-stream"
        size = int(answer.headers[HEADER])
        assert orjson.loads(answer.content[:size]) == {
            "model_name": "mymodel",
            "model_version": "1",
            "outputs": [
                {
                    "name": "output0",
                    "datatype": "FP32",
                    "shape": [2, 2],
                    "parameters": {"binary_data_size": 16},
                }
            ],
        }
        assert struct.unpack("<4f", answer.content[size:]) == tuple(ANSWER)

    def test_all_outputs_in_binary_but_one(self, served: Front) -> None:
        image = {
            "name": "image",
            "datatype": "UINT8",
            "shape": [1, 2, 3],
            "parameters": {"binary_data_size": 6},
        }
        request = {
            "inputs": [image],
            "outputs": [{"name": "total", "parameters": {"binary_data": False}}, {"name": "label"}],
            "parameters": {"binary_data_output": True, "seen": True},
        }
        answer = post(served, request, bytes(GOLDEN), "summing/infer")
        size = int(answer.headers[HEADER])
        total, label, seen = orjson.loads(answer.content[:size])["outputs"]
        assert total["data"] == [21.0]
        assert [label["parameters"], seen["parameters"]] == [
            {"binary_data_size": 10},
            {"binary_data_size": 6},
        ]
        assert answer.content[size:] == b"\x06\x00\x00\x00sum 21" + bytes(GOLDEN)

    def test_json_and_binary_inputs_mixed(self, served: Front) -> None:
        request = {**REQUEST, "inputs": [REQUEST["inputs"][0], with_sizes(16, 2)["inputs"][1]]}
        answer = post(served, request, b"\x01\x00")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["outputs"][0]["data"] == ANSWER

    def test_binary_inputs_may_come_in_any_order(self, served: Front) -> None:
        request = with_sizes(16, 2)
        request["inputs"].reverse()
        assert post(served, request, TENSORS[16:] + TENSORS[:16]).json()["outputs"][0]["data"] == ANSWER

    def test_a_picture_is_sent_as_it_is(self, served: Front) -> None:
        from ..test_front import png

        file = png(20, 10)
        element = struct.pack("<I", len(file)) + file
        item = {"name": "image", "datatype": "BYTES", "shape": [1]}
        request = {"inputs": [{**item, "parameters": {"binary_data_size": len(element)}}]}
        expected = [6.0 * (len(file) % 256)]
        assert post(served, request, element, "summing/infer").json()["outputs"][0]["data"] == expected
        alone = served.client.post("/v2/models/summing/infer", content=file, headers={HEADER: "0"})
        assert alone.json()["outputs"][0]["data"] == expected

    def test_a_body_that_is_only_a_tensor(self, served: Front) -> None:
        rows = bytes(GOLDEN * 2)
        answer = served.client.post("/v2/models/summing/infer", content=rows, headers={HEADER: "0"})
        assert answer.json()["outputs"][0] == {
            "name": "total",
            "datatype": "FP32",
            "shape": [2],
            "data": [21.0, 21.0],
        }

    @pytest.mark.parametrize("value", ["-1", "1.5", "x", "0x10", "9" * 30, "100000", "17, 17"])
    def test_a_length_of_the_json_that_cannot_be(self, served: Front, value: str) -> None:
        body = orjson.dumps(with_sizes(16, 2)) + TENSORS
        answer = served.client.post("/v2/models/mymodel/infer", content=body, headers={HEADER: value})
        assert answer.status_code == 400
        assert HEADER in answer.json()["error"]

    def test_two_lengths_of_the_json(self, served: Front) -> None:
        headers = [(HEADER, "20"), (HEADER, "30")]
        answer = served.client.post("/v2/models/mymodel/infer", content=b"x" * 50, headers=headers)
        assert answer.status_code == 400

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
    def test_sizes_that_do_not_fit_are_refused(
        self, served: Front, sizes: tuple[object, object], tensors: bytes, named: str
    ) -> None:
        answer = post(served, with_sizes(*sizes), tensors)
        assert answer.status_code == 400
        assert named in answer.json()["error"]

    def test_a_size_without_the_header_is_refused(self, served: Front) -> None:
        answer = served.client.post("/v2/models/mymodel/infer", content=orjson.dumps(with_sizes(16, 2)))
        assert answer.status_code == 400
        assert HEADER in answer.json()["error"]

    @pytest.mark.parametrize(
        ("parameters", "word"),
        [
            ({"classification": 3}, "classification"),
            ({"binary_data": 1}, "binary_data"),
            ({"shared_memory_region": "a", "shared_memory_byte_size": 16}, "shared memory"),
        ],
    )
    def test_an_output_in_a_way_that_is_not_offered(
        self, served: Front, parameters: dict[str, Any], word: str
    ) -> None:
        answer = post(served, {**REQUEST, "outputs": [{"name": "output0", "parameters": parameters}]})
        assert answer.status_code == 400
        assert word in answer.json()["error"]
