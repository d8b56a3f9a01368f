"""Recorded traffic the whole way: a request to the front, its header, the prediction, a label, its lineage."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.conftest import Stack
from tests.waiting import until

NAME = "recorded"
PREDICTION = "x-marina-prediction"


def body(shade: int, rows: int = 1) -> dict[str, Any]:
    data = [(shade + at) % 256 for at in range(rows * 784)]
    return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [rows, 28, 28], "data": data}]}


@pytest.fixture
def recorded(stack: Stack, api: httpx.Client) -> Iterator[str]:
    """A deployment that records all of its traffic."""
    new = {"name": NAME, "experiment": "mlp-tiny-lr", "runtime": "native", "recording": {"rate": 1.0}}
    try:
        api.post("/v1/deployments", json=new).raise_for_status()
        stack.wait_until_ready(NAME)
        yield NAME
    finally:
        api.delete(f"/v1/deployments/{NAME}")


def recording(ask: httpx.Client) -> httpx.Response:
    """The first answer that says it is recorded: the server follows a change of the setting within seconds."""

    def found() -> httpx.Response | None:
        answer = ask.post(f"/{NAME}/infer", json=body(0))
        return answer if answer.status_code == 200 and PREDICTION in answer.headers else None

    return until(found, "an answer is recorded", 30, 0.2)


def prediction(api: httpx.Client, uid: str) -> dict[str, Any]:
    """The prediction once it is there."""

    def found() -> dict[str, Any] | None:
        answer = api.get(f"/v1/predictions/{uid}")
        return answer.json() if answer.status_code == 200 and answer.json()["status"] == "ok" else None

    return until(found, f"prediction {uid} is recorded", 20, 0.1)


def test_a_request_to_the_front_is_a_prediction_that_is_labelled_and_traced(
    recorded: str, stack: Stack, api: httpx.Client, v2: httpx.Client, starter_mars: dict[str, Path]
) -> None:
    recording(v2)
    answer = v2.post(f"/{NAME}/infer", json=body(40))
    uid = answer.headers[PREDICTION]
    assert UUID(uid)
    said = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    found = prediction(api, uid)
    assert found["label"] == said["label"][0]
    assert found["probabilities"][0]["probability"] == pytest.approx(max(said["probabilities"]), abs=1e-6)
    assert (found["source"], found["deployment"], found["input"]["kind"]) == ("v2", NAME, "image")
    assert 0 < found["latency_ms"] < 10_000
    lineage = api.get(f"/v1/predictions/{uid}/lineage").json()
    assert (lineage["version"]["experiment"], lineage["deployment"]["name"]) == ("mlp-tiny-lr", NAME)
    label = {"task": lineage["version"]["task"], "label": found["label"]}
    api.post(f"/v1/inputs/{found['input_sha256']}/labels", json=label).raise_for_status()
    scores = api.get("/v1/experiments/mlp-tiny-lr/scores").json()["items"]
    mine = [part for one in scores for part in one["by_deployment"] if part["deployment"] == NAME]
    assert [part["score"]["share"]["right"] for part in mine] == [1], (
        "what the model said was labelled as right"
    )


def test_the_api_passes_the_header_on_and_rows_and_files_are_recorded_too(
    recorded: str, api: httpx.Client, v2: httpx.Client
) -> None:
    recording(v2)
    many = api.post(f"/v2/models/{NAME}/infer", json=body(9, rows=3))
    first = prediction(api, many.headers[PREDICTION])
    call = api.get("/v1/predictions", params={"request_id": first["request_id"]}).json()
    assert call["total"] == 3
    picture = api.get(first["input"]["url"]).content
    file = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(picture).decode()]}
    asked = v2.post(f"/{NAME}/infer", json={"inputs": [file]})
    again = prediction(api, asked.headers[PREDICTION])
    assert again["input_sha256"] == first["input_sha256"], "a file of the same pixels is the same input"


def test_a_change_of_the_rate_starts_no_model_anew_and_off_is_off(
    recorded: str, api: httpx.Client, v2: httpx.Client
) -> None:
    recording(v2)
    api.patch(f"/v1/deployments/{NAME}", json={"recording": {"rate": 0}}).raise_for_status()

    def off() -> bool:
        answer = v2.post(f"/{NAME}/infer", json=body(1))
        assert answer.status_code == 200
        return PREDICTION not in answer.headers

    until(off, "nothing is recorded any more", 30, 0.2)
    time.sleep(1)
    before = api.get("/v1/predictions", params={"deployment": NAME, "source": "v2"}).json()["total"]
    for _ in range(20):
        assert PREDICTION not in v2.post(f"/{NAME}/infer", json=body(2)).headers
    time.sleep(1)
    assert api.get("/v1/predictions", params={"deployment": NAME, "source": "v2"}).json()["total"] == before
