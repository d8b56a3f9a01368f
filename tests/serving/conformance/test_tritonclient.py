"""Every call of tritonclient.http, unchanged, against a real front: the blocking client and the asyncio one."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from serving_runtime.card import DATATYPES

from ..conftest import Front
from .archives import input_name, output_name

PIXELS = np.arange(1, 7, dtype=np.uint8).reshape(1, 2, 3)
VALUES: dict[str, Any] = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT16": np.array([[0, 2**16 - 1]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT16": np.array([[-(2**15), 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "FP16": np.array([[0.1, -65504]], np.float16),
    "FP32": np.array([[0.1, 1e38]], np.float32),
    "FP64": np.array([[0.1, 1e308]], np.float64),
    "BYTES": np.array([[b"", 'ü:"\\'.encode()]], np.object_),
}
# What each call must do, by its name; a call that a newer client adds fails the test of the list below.
ANSWERED = {
    "is_server_live",
    "is_server_ready",
    "is_model_ready",
    "get_server_metadata",
    "get_model_metadata",
    "get_model_config",
    "get_model_repository_index",
    "get_inference_statistics",
    "infer",
    "async_infer",
    "generate_request_body",
    "parse_response_body",
}
REFUSED: dict[str, tuple[Any, ...]] = {
    "load_model": ("summing",),
    "unload_model": ("summing",),
    "update_trace_settings": ("summing", {}),
    "get_trace_settings": ("summing",),
    "update_log_settings": ({},),
    "get_log_settings": (),
    "get_system_shared_memory_status": (),
    "register_system_shared_memory": ("region", "/key", 16),
    "unregister_system_shared_memory": ("region",),
    "get_cuda_shared_memory_status": (),
    "register_cuda_shared_memory": ("region", b"handle", 0, 16),
    "unregister_cuda_shared_memory": ("region",),
}
OWN = {"close", "plugin", "register_plugin", "unregister_plugin"}  # no call of the server


@pytest.fixture
def client(served: Front) -> Iterator[triton.InferenceServerClient]:
    address = served.url.removeprefix("http://")
    with triton.InferenceServerClient(address, concurrency=4, network_timeout=20.0) as found:
        yield found


@pytest.fixture(params=["blocking", "asyncio"])
def call(request: pytest.FixtureRequest, served: Front) -> Callable[..., Any]:
    """Do one call of either client: `call("infer", ...)`."""
    address = served.url.removeprefix("http://")

    def blocking(name: str, *arguments: Any, **options: Any) -> Any:
        with triton.InferenceServerClient(address, network_timeout=20.0) as client:
            return getattr(client, name)(*arguments, **options)

    def in_asyncio(name: str, *arguments: Any, **options: Any) -> Any:
        async def once() -> Any:
            async with triton_aio.InferenceServerClient(address, conn_timeout=20) as client:
                work: Coroutine[Any, Any, Any] = getattr(client, name)(*arguments, **options)
                return await work

        return asyncio.run(once())

    return blocking if request.param == "blocking" else in_asyncio


def image(*, binary: bool = True) -> list[triton.InferInput]:
    tensor = triton.InferInput("image", [1, 2, 3], "UINT8")
    tensor.set_data_from_numpy(PIXELS, binary_data=binary)
    return [tensor]


def everything(*, binary: bool) -> list[triton.InferInput]:
    """One row of each datatype; FP16 is always binary."""
    tensors = []
    for datatype, array in VALUES.items():
        tensor = triton.InferInput(input_name(datatype), list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary or datatype == "FP16")
        tensors.append(tensor)
    return tensors


def test_every_call_of_the_client_is_in_one_of_the_lists() -> None:
    for kind in (triton.InferenceServerClient, triton_aio.InferenceServerClient):
        calls = {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}
        assert calls - OWN <= ANSWERED | REFUSED.keys()


class TestAbout:
    def test_health(self, call: Callable[..., Any]) -> None:
        assert call("is_server_live") is True
        assert call("is_server_ready") is True
        assert call("is_model_ready", "summing") is True
        assert call("is_model_ready", "summing", "1") is True
        assert call("is_model_ready", "summing", "2") is False
        assert call("is_model_ready", "none") is False

    def test_metadata(self, call: Callable[..., Any]) -> None:
        assert call("get_server_metadata")["name"] == "marina"
        for version in ("", "1"):
            document = call("get_model_metadata", "summing", version)
            assert document["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 2, 3]}]

    def test_configuration(self, call: Callable[..., Any]) -> None:
        for version in ("", "1"):
            document = call("get_model_config", "echo", version)
            assert [item["data_type"] for item in document["input"]][-2:] == ["TYPE_FP64", "TYPE_STRING"]

    def test_repository_index(self, call: Callable[..., Any]) -> None:
        assert {item["name"]: item["state"] for item in call("get_model_repository_index")} == {
            "echo": "READY",
            "mymodel": "READY",
            "summing": "READY",
        }

    def test_statistics(self, call: Callable[..., Any]) -> None:
        call("infer", "summing", image())
        for arguments in ((), ("summing",), ("summing", "1")):
            listed = call("get_inference_statistics", *arguments)["model_stats"]
            found = next(item for item in listed if item["name"] == "summing")
            assert found["inference_stats"]["success"]["count"] >= 1

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_is_not_offered_is_refused_in_a_way_that_the_client_shows(
        self, call: Callable[..., Any], name: str
    ) -> None:
        with pytest.raises(InferenceServerException) as refusal:
            call(name, *REFUSED[name])
        assert refusal.value.status() in ("403", "404")
        assert "exception occurred in the client" not in str(refusal.value)


class TestInfer:
    @pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
    def test_defaults(self, call: Callable[..., Any], binary: bool) -> None:
        result = call("infer", "summing", image(binary=binary), model_version="1", request_id="seven")
        assert result.as_numpy("total").tolist() == [21.0]
        assert result.as_numpy("label").tolist() == [b"sum 21"]
        answer = result.get_response()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("summing", "1", "seven")
        assert result.get_output("total")["parameters"] == {"binary_data_size": 4}

    @pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
    def test_asked_outputs(self, call: Callable[..., Any], binary: bool) -> None:
        outputs = [triton.InferRequestedOutput("label", binary_data=binary)]
        result = call("infer", "summing", image(), outputs=outputs)
        assert [item["name"] for item in result.get_response()["outputs"]] == ["label"]
        assert ("data" in result.get_output("label")) is not binary
        assert [str(item) for item in result.as_numpy("label")] == ["b'sum 21'" if binary else "sum 21"]

    @pytest.mark.parametrize("binary_out", [True, False], ids=["binary-out", "json-out"])
    @pytest.mark.parametrize("binary_in", [True, False], ids=["binary-in", "json-in"])
    def test_every_datatype_keeps_its_values(
        self, call: Callable[..., Any], binary_in: bool, binary_out: bool
    ) -> None:
        outputs = [
            triton.InferRequestedOutput(output_name(each), binary_data=binary_out or each == "FP16")
            for each in DATATYPES
        ]
        result = call("infer", "echo", everything(binary=binary_in), outputs=outputs)
        for datatype, sent in VALUES.items():
            found = result.as_numpy(output_name(datatype))
            if datatype == "BYTES" and not binary_out:
                found = np.array([[item.encode() for item in row] for row in found], np.object_)
            assert np.array_equal(found, sent), datatype
            assert found.dtype == sent.dtype, datatype

    def test_bytes_that_are_no_text_survive_in_binary(self, call: Callable[..., Any]) -> None:
        tensors = everything(binary=True)
        sent = np.array([[b"\xff\x00\x80", bytes(range(256))]], np.object_)
        tensors[-1].set_data_from_numpy(sent)
        found = call("infer", "echo", tensors).as_numpy(output_name("BYTES"))
        assert found.tolist() == sent.tolist()

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_packed_both_ways(self, call: Callable[..., Any], encoding: str) -> None:
        tensor = triton.InferInput("image", [500, 2, 3], "UINT8")
        tensor.set_data_from_numpy(np.repeat(PIXELS, 500, 0))
        result = call(
            "infer",
            "summing",
            [tensor],
            request_compression_algorithm=encoding,
            response_compression_algorithm=encoding,
        )
        assert result.as_numpy("total").tolist() == [21.0] * 500

    def test_a_large_answer_by_default(self, call: Callable[..., Any]) -> None:
        tensor = triton.InferInput("image", [500, 2, 3], "UINT8")
        tensor.set_data_from_numpy(np.repeat(PIXELS, 500, 0))
        assert call("infer", "summing", [tensor]).as_numpy("label").tolist() == [b"sum 21"] * 500

    def test_parameters(self, call: Callable[..., Any]) -> None:
        result = call("infer", "summing", image(), parameters={"seen": True}, priority=1, timeout=10_000_000)
        assert np.array_equal(result.as_numpy("seen"), PIXELS)

    @pytest.mark.parametrize(
        ("model", "version", "outputs", "status", "word"),
        [
            ("none", "", None, "404", "none"),
            ("summing", "9", None, "404", "version"),
            ("summing", "", [triton.InferRequestedOutput("other")], "400", "other"),
            ("summing", "", [triton.InferRequestedOutput("total", class_count=3)], "400", "classification"),
        ],
    )
    def test_errors_are_what_the_client_expects(
        self,
        call: Callable[..., Any],
        model: str,
        version: str,
        outputs: list[Any] | None,
        status: str,
        word: str,
    ) -> None:
        with pytest.raises(InferenceServerException) as error:
            call("infer", model, image(), model_version=version, outputs=outputs)
        assert error.value.status() == status
        assert word in error.value.message()

    def test_fp16_as_json_output_is_refused(self, call: Callable[..., Any]) -> None:
        outputs = [triton.InferRequestedOutput(output_name("FP16"), binary_data=False)]
        with pytest.raises(InferenceServerException, match="FP16 has no JSON form"):
            call("infer", "echo", everything(binary=True), outputs=outputs)

    def test_asynchronous_calls_of_the_blocking_client(self, client: triton.InferenceServerClient) -> None:
        pending = [client.async_infer("summing", image(), request_id=str(number)) for number in range(20)]
        answers = [each.get_result(timeout=20) for each in pending]
        assert [each.get_response()["id"] for each in answers] == [str(number) for number in range(20)]
        assert {each.as_numpy("total").tolist()[0] for each in answers} == {21.0}

    def test_bodies_made_and_read_without_the_client(self, served: Front) -> None:
        body, size = triton.InferenceServerClient.generate_request_body(image())
        headers = {"Inference-Header-Content-Length": str(size)}
        answer = served.client.post("/v2/models/summing/infer", content=body, headers=headers)
        result = triton.InferenceServerClient.parse_response_body(
            answer.content, header_length=int(answer.headers["Inference-Header-Content-Length"])
        )
        assert result.as_numpy("total").tolist() == [21.0]
