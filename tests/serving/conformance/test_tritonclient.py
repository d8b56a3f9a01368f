"""Every call of tritonclient.http, unchanged, against a real front: the blocking client and the asyncio one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from serving_runtime.contracts import DATATYPES

from ..conftest import Front
from .archives import input_name, output_name
from .arrays import FORMS, PIXELS, VALUES

pytestmark = pytest.mark.section("{call}.InferenceServerClient")

DEPLOYED = "deployments decide what is served, not clients"
NEAR = "clients are on other machines; tensors travel in the body"
NO_TRACES = "`/metrics` and the statistics give times"
NO_SETTINGS = "a server is set up by who runs it, not by its clients"
# Calls that Triton has and this server has not: arguments, and why.
REJECTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "load_model": (("summing",), DEPLOYED),
    "unload_model": (("summing",), DEPLOYED),
    "get_trace_settings": (("summing",), NO_TRACES),
    "update_trace_settings": (("summing", {}), NO_TRACES),
    "get_log_settings": ((), NO_SETTINGS),
    "update_log_settings": (({},), NO_SETTINGS),
    "get_system_shared_memory_status": ((), NEAR),
    "register_system_shared_memory": (("region", "/key", 16), NEAR),
    "unregister_system_shared_memory": (("region",), NEAR),
    "get_cuda_shared_memory_status": ((), NEAR),
    "register_cuda_shared_memory": (("region", b"handle", 0, 16), NEAR),
    "unregister_cuda_shared_memory": (("region",), NEAR),
}
CLIENTS = {
    "tritonclient.http": triton.InferenceServerClient,
    "tritonclient.http.aio": triton_aio.InferenceServerClient,
}

Call = Callable[..., Any]


@pytest.fixture(params=CLIENTS)
def call(request: pytest.FixtureRequest, served: Front) -> Call:
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

    return blocking if request.param == "tritonclient.http" else in_asyncio


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


def many(rows: int) -> list[triton.InferInput]:
    tensor = triton.InferInput("image", [rows, 2, 3], "UINT8")
    tensor.set_data_from_numpy(np.repeat(PIXELS, rows, 0))
    return [tensor]


class TestAbout:
    @pytest.mark.row("`{name}`")
    @pytest.mark.parametrize("name", ["is_server_live", "is_server_ready"])
    def test_the_server_is_live_and_ready(self, call: Call, name: str) -> None:
        assert call(name) is True

    @pytest.mark.row("`is_model_ready`, with and without a version; false for what is not there")
    def test_a_model_is_ready(self, call: Call) -> None:
        assert call("is_model_ready", "summing") is True
        assert call("is_model_ready", "summing", "1") is True
        assert call("is_model_ready", "summing", "2") is False
        assert call("is_model_ready", "none") is False

    @pytest.mark.row("`get_server_metadata`")
    def test_server_metadata(self, call: Call) -> None:
        assert call("get_server_metadata")["name"] == "marina"

    @pytest.mark.row("`get_model_metadata`, with and without a version")
    def test_model_metadata(self, call: Call) -> None:
        for version in ("", "1"):
            document = call("get_model_metadata", "summing", version)
            (image,) = document["inputs"]
            assert (image["name"], image["datatype"], image["shape"]) == ("image", "UINT8", [-1, 2, 3])
            assert image["parameters"]["content_type"] == "np"

    @pytest.mark.row("`get_model_config`, with and without a version")
    def test_configuration(self, call: Call) -> None:
        for version in ("", "1"):
            document = call("get_model_config", "echo", version)
            assert [item["data_type"] for item in document["input"]][-2:] == ["TYPE_FP64", "TYPE_STRING"]

    @pytest.mark.row("`get_model_repository_index`")
    def test_repository_index(self, call: Call) -> None:
        assert {item["name"]: item["state"] for item in call("get_model_repository_index")} == {
            "echo": "READY",
            "mymodel": "READY",
            "summing": "READY",
        }

    @pytest.mark.row("`get_inference_statistics`, of all models, of a model, of a version")
    def test_statistics(self, call: Call) -> None:
        call("infer", "summing", image())
        for arguments in ((), ("summing",), ("summing", "1")):
            listed = call("get_inference_statistics", *arguments)["model_stats"]
            found = next(item for item in listed if item["name"] == "summing")
            assert found["inference_stats"]["success"]["count"] >= 1


class TestInfer:
    @pytest.mark.row("`infer`, {inputs} inputs, `outputs` not given (the client then asks for binary)")
    @pytest.mark.parametrize("inputs", FORMS)
    def test_defaults(self, call: Call, inputs: str) -> None:
        tensors = image(binary=FORMS[inputs])
        result = call("infer", "summing", tensors, model_version="1", request_id="seven")
        assert result.as_numpy("total").tolist() == [21.0]
        assert result.as_numpy("label").tolist() == [b"sum 21"]
        answer = result.get_response()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("summing", "1", "seven")
        assert result.get_output("total")["parameters"] == {"binary_data_size": 4}

    @pytest.mark.row("`infer`, one of the outputs, in {form}")
    @pytest.mark.parametrize("form", FORMS)
    def test_asked_outputs(self, call: Call, form: str) -> None:
        binary = FORMS[form]
        outputs = [triton.InferRequestedOutput("label", binary_data=binary)]
        result = call("infer", "summing", image(), outputs=outputs)
        assert [item["name"] for item in result.get_response()["outputs"]] == ["label"]
        assert ("data" in result.get_output("label")) is not binary
        assert [str(item) for item in result.as_numpy("label")] == ["b'sum 21'" if binary else "sum 21"]

    @pytest.mark.row("`infer`, every datatype, {inputs} in, {outputs} out (`FP16` always in binary)")
    @pytest.mark.parametrize("outputs", FORMS)
    @pytest.mark.parametrize("inputs", FORMS)
    def test_every_datatype_keeps_its_values(self, call: Call, inputs: str, outputs: str) -> None:
        asked = [
            triton.InferRequestedOutput(output_name(each), binary_data=FORMS[outputs] or each == "FP16")
            for each in DATATYPES
        ]
        result = call("infer", "echo", everything(binary=FORMS[inputs]), outputs=asked)
        for datatype, sent in VALUES.items():
            found = result.as_numpy(output_name(datatype))
            if datatype == "BYTES" and not FORMS[outputs]:
                found = np.array([[item.encode() for item in row] for row in found], np.object_)
            assert np.array_equal(found, sent), datatype
            assert found.dtype == sent.dtype, datatype

    @pytest.mark.row("`infer`, `BYTES` that are no text")
    def test_bytes_that_are_no_text_survive_in_binary(self, call: Call) -> None:
        tensors = everything(binary=True)
        sent = np.array([[b"\xff\x00\x80", bytes(range(256))]], np.object_)
        tensors[-1].set_data_from_numpy(sent)
        found = call("infer", "echo", tensors).as_numpy(output_name("BYTES"))
        assert found.tolist() == sent.tolist()

    @pytest.mark.row("`infer`, `{encoding}` both ways")
    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_packed_both_ways(self, call: Call, encoding: str) -> None:
        packed = {
            "request_compression_algorithm": encoding,
            "response_compression_algorithm": encoding,
        }
        result = call("infer", "summing", many(500), **packed)
        assert result.as_numpy("total").tolist() == [21.0] * 500

    @pytest.mark.row("`infer`, a large answer, packed or not as the client asks by itself")
    def test_a_large_answer_by_default(self, call: Call) -> None:
        assert call("infer", "summing", many(500)).as_numpy("label").tolist() == [b"sum 21"] * 500

    @pytest.mark.row("`infer`, `parameters`, `priority`, `timeout`, `sequence_id`")
    def test_parameters(self, call: Call) -> None:
        sequence = {"sequence_id": 7, "sequence_start": True, "sequence_end": True}
        options = {
            "parameters": {"return_preprocessed": True},
            "priority": 1,
            "timeout": 10_000_000,
            **sequence,
        }
        assert np.array_equal(call("infer", "summing", image(), **options).as_numpy("preprocessed"), PIXELS)

    @pytest.mark.row("`infer` that is rejected: `InferenceServerException` with status and reason")
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
        self, call: Call, model: str, version: str, outputs: list[Any] | None, status: str, word: str
    ) -> None:
        with pytest.raises(InferenceServerException) as error:
            call("infer", model, image(), model_version=version, outputs=outputs)
        assert error.value.status() == status
        assert word in error.value.message()

    @pytest.mark.row("`infer`, `FP16` requested in JSON: rejected, as it has no JSON form")
    def test_fp16_as_json_output_is_rejected(self, call: Call) -> None:
        outputs = [triton.InferRequestedOutput(output_name("FP16"), binary_data=False)]
        with pytest.raises(InferenceServerException, match="FP16 has no JSON form"):
            call("infer", "echo", everything(binary=True), outputs=outputs)

    @pytest.mark.section("tritonclient.http.InferenceServerClient")
    @pytest.mark.row("`async_infer`, 20 at a time")
    def test_asynchronous_calls_of_the_blocking_client(self, served: Front) -> None:
        address = served.url.removeprefix("http://")
        with triton.InferenceServerClient(address, concurrency=4, network_timeout=20.0) as client:
            pending = [client.async_infer("summing", image(), request_id=str(number)) for number in range(20)]
            answers = [each.get_result(timeout=20) for each in pending]
        assert [each.get_response()["id"] for each in answers] == [str(number) for number in range(20)]
        assert {each.as_numpy("total").tolist()[0] for each in answers} == {21.0}

    @pytest.mark.section("{name}.InferenceServerClient")
    @pytest.mark.row("`generate_request_body` and `parse_response_body`, sent by another HTTP client")
    @pytest.mark.parametrize("name", CLIENTS)
    def test_bodies_made_and_read_without_the_client(self, served: Front, name: str) -> None:
        body, size = CLIENTS[name].generate_request_body(image())
        headers = {"Inference-Header-Content-Length": str(size)}
        answer = served.client.post("/v2/models/summing/infer", content=body, headers=headers)
        result = CLIENTS[name].parse_response_body(
            answer.content, header_length=int(answer.headers["Inference-Header-Content-Length"])
        )
        assert result.as_numpy("total").tolist() == [21.0]


@pytest.mark.section("What is not supported")
@pytest.mark.row("`{name}` of tritonclient, blocking and asyncio", why="{why}")
@pytest.mark.parametrize(("name", "arguments", "why"), [(name, *rest) for name, rest in REJECTED.items()])
def test_what_is_not_offered_is_rejected_in_a_way_that_the_client_shows(
    call: Call, name: str, arguments: tuple[Any, ...], why: str
) -> None:
    with pytest.raises(InferenceServerException) as rejection:
        call(name, *arguments)
    assert rejection.value.status() in ("403", "404")
    assert "exception occurred in the client" not in str(rejection.value)
