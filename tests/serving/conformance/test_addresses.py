"""Every address of the protocol on a real front: with a version and without, with a slash at its end and without."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import until

from .. import archives
from ..conftest import Front
from .asking import REQUEST, post
from .test_openapi import published

METADATA = {"name", "versions", "platform", "inputs", "outputs"}
CONFIGURATION = {"name", "platform", "backend", "max_batch_size", "dynamic_batching", "input", "output"}
# What each answers to GET.
GET = {
    "/v2": {"name", "version", "extensions"},
    "/v2/health/live": {"live"},
    "/v2/health/ready": {"ready", "live"},
    "/v2/models/NAME": METADATA,
    "/v2/models/NAME/versions/VERSION": METADATA,
    "/v2/models/NAME/ready": {"name", "ready"},
    "/v2/models/NAME/versions/VERSION/ready": {"name", "ready"},
    "/v2/models/NAME/config": CONFIGURATION,
    "/v2/models/NAME/versions/VERSION/config": CONFIGURATION,
    "/v2/models/stats": {"model_stats"},
    "/v2/models/NAME/stats": {"model_stats"},
    "/v2/models/NAME/versions/VERSION/stats": {"model_stats"},
}
INFER = ("/v2/models/NAME/infer", "/v2/models/NAME/versions/VERSION/infer")
INDEX = "/v2/repository/index"
ALL_READY = [
    {"name": name, "version": "1", "state": "READY", "reason": ""} for name in ("echo", "mymodel", "summing")
]


def filled(path: str) -> str:
    return path.replace("NAME", "mymodel").replace("VERSION", "1")


@pytest.mark.section("Addresses")
class TestAddresses:
    @pytest.mark.row("`GET {path}`")
    @pytest.mark.parametrize("slash", ["", "/"])
    @pytest.mark.parametrize(("path", "keys"), GET.items())
    def test_what_is_asked_for_is_told(self, served: Front, path: str, keys: set[str], slash: str) -> None:
        answer = served.client.get(filled(path) + slash)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == keys

    @pytest.mark.row("`HEAD` of the same: the status and no body")
    @pytest.mark.parametrize("path", GET)
    def test_head_is_get_without_the_body(self, served: Front, path: str) -> None:
        answer = served.client.head(filled(path))
        assert (answer.status_code, answer.content) == (200, b"")

    @pytest.mark.row("`POST {path}`")
    @pytest.mark.parametrize("slash", ["", "/"])
    @pytest.mark.parametrize("path", INFER)
    def test_inferences_are_answered(self, served: Front, path: str, slash: str) -> None:
        answer = served.client.post(filled(path) + slash, json=REQUEST)
        assert answer.status_code == 200
        assert (answer.json()["model_name"], answer.json()["model_version"]) == ("mymodel", "1")

    @pytest.mark.row(f"`POST {INDEX}`")
    @pytest.mark.parametrize("slash", ["", "/"])
    def test_the_repository_is_listed(self, served: Front, slash: str) -> None:
        assert served.client.post(INDEX + slash).json() == ALL_READY

    @pytest.mark.row("percent-quoted letters of a name are the letters")
    def test_quoted_letters_are_the_letters(self, served: Front) -> None:
        assert served.client.get("/v2/models/my%6Dodel").json()["name"] == "mymodel"
        assert served.client.get("/v2/%6dodels/mymodel/versions/%31").json()["name"] == "mymodel"
        assert post(served, REQUEST, path="m%79model/infer").status_code == 200

    @pytest.mark.row("a percent-quoted slash does not part a name")
    def test_a_quoted_slash_does_not_part_a_name(self, served: Front) -> None:
        assert served.client.get("/v2/models%2Fmymodel").status_code == 404
        answer = served.client.get("/v2/models/mymodel%2Fversions%2F1")
        assert answer.status_code == 404
        said, _, _ = answer.json()["error"].partition(";")
        assert said == "there is no model 'mymodel/versions/1'"

    @pytest.mark.row("metadata names each tensor with datatype and shape, -1 for any size")
    def test_metadata_is_what_the_model_takes_and_gives(self, served: Front) -> None:
        document = served.client.get("/v2/models/mymodel").json()
        assert document["versions"] == ["1"]
        assert document["platform"].startswith("pytorch_")
        numbers = {"kind": "tensor", "content_type": "np"}
        assert document["inputs"] == [
            {"name": "input0", "datatype": "UINT32", "shape": [-1, 2], "parameters": numbers},
            {"name": "input1", "datatype": "BOOL", "shape": [-1], "parameters": numbers},
        ]
        assert document["outputs"] == [
            {"name": "output0", "datatype": "FP32", "shape": [-1, 2], "parameters": numbers}
        ]

    @pytest.mark.row("`GET /v2` lists only extensions that exist as a whole")
    def test_only_extensions_that_exist_are_listed(self, served: Front) -> None:
        assert served.client.get("/v2").json()["extensions"] == [
            "binary_tensor_data",
            "model_configuration",
            "statistics",
        ]

    @pytest.mark.row("the OpenAPI document has all of these addresses and no other but load and unload")
    def test_the_openapi_document_has_the_same_addresses(self, served: Front) -> None:
        documented = {
            path.replace("{model_name}", "NAME").replace("{model_version}", "VERSION")
            for path in published(served)["paths"]
        }
        rejected = {f"/v2/repository/models/NAME/{verb}" for verb in ("load", "unload")}
        assert documented == {*GET, *INFER, INDEX} | rejected


@pytest.fixture(scope="class")
def starting(served: Front) -> Iterator[Front]:
    """The front with a further model, `slow`, which has not loaded yet and will not before it is gone again."""
    archives.summing(served.folder / "slow.mar", name="slow", on_load="time.sleep(60)")
    served.want("slow", "1", served.folder / "slow.mar")
    served.wait_until("slow", state="starting")
    yield served
    served.want_no_more("slow")
    until(lambda: not served.status("slow"), "it is gone", seconds=30)


@pytest.mark.section("Addresses")
class TestWhileAModelStarts:
    @pytest.mark.row("while a model starts: `GET /v2/health/ready` is 503, `live` is 200")
    def test_the_server_is_live_and_not_ready(self, starting: Front) -> None:
        answer = starting.client.get("/v2/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"ready": False, "live": True})
        assert starting.client.get("/v2/health/live").status_code == 200

    @pytest.mark.row("while a model starts: `GET {path}` is 503")
    @pytest.mark.parametrize("path", ["/v2/models/NAME/ready", "/v2/models/NAME/versions/VERSION/ready"])
    def test_the_model_is_not_ready(self, starting: Front, path: str) -> None:
        answer = starting.client.get(path.replace("NAME", "slow").replace("VERSION", "1"))
        assert answer.status_code == 503
        assert answer.json()["ready"] is False
        assert starting.client.get(filled(path)).status_code == 200

    @pytest.mark.row("while a model starts: infer is 503 with `Retry-After`, other models answer")
    def test_who_asks_it_shall_come_again(self, starting: Front) -> None:
        answer = starting.infer("slow", [1, 2, 3, 4, 5, 6])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "'slow'" in answer.json()["error"]
        assert post(starting, REQUEST).status_code == 200


@pytest.mark.section("Configuration, statistics, repository index")
class TestExtensions:
    @pytest.mark.row("configuration: tensors as `TYPE_...` with `dims` without the batch, `max_batch_size`")
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

    @pytest.mark.row("statistics count good and bad requests, rows, calls of the model, time")
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

    @pytest.mark.row("statistics of all models in one answer")
    def test_statistics_of_all_models(self, served: Front) -> None:
        listed = served.client.get("/v2/models/stats").json()["model_stats"]
        assert sorted(item["name"] for item in listed) == ["echo", "mymodel", "summing"]

    @pytest.mark.row("repository index: models, versions, states")
    @pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}', b'{"ready": false}'])
    def test_the_repository_index_lists_models_and_states(self, served: Front, body: bytes) -> None:
        assert served.client.post(INDEX, content=body).json() == ALL_READY

    @pytest.mark.row('repository index with `{{"ready": true}}`: without a model that starts')
    def test_the_index_leaves_out_what_is_not_ready_when_asked_to(self, starting: Front) -> None:
        def states(body: dict[str, bool]) -> dict[str, str]:
            listed = starting.client.post(INDEX, json=body).json()
            return {item["name"]: item["state"] for item in listed}

        assert states({})["slow"] == "LOADING"
        assert states({"ready": True}) == {"echo": "READY", "mymodel": "READY", "summing": "READY"}

    @pytest.mark.row("repository index: a wrong filter is 400")
    @pytest.mark.parametrize("body", [b"[]", b'{"ready": 1}', b'{"ready": null}', b"{"])
    def test_a_wrong_filter_of_the_index_is_rejected(self, served: Front, body: bytes) -> None:
        assert served.client.post(INDEX, content=body).status_code == 400
