"""Events as KServe's agent sends them, and inputs of every kind."""

import json
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor
from tests.metadata_api.making import make_image
from tests.metadata_api.recordings.sending import (
    PROBABILITIES,
    answered,
    asked,
    by_agent,
    event,
    kept,
    path_of,
    read_again,
    recording_deployment,
    send,
)

IMAGE = [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28], "accepts": ["UINT8", "FP32", "BYTES"]}]
DIGITS = [str(digit) for digit in range(10)]


class TestKServesAgent:
    """One event in each request, in binary mode, as pkg/logger of KServe sends it."""

    def test_both_events_of_a_call_are_a_prediction(self, api: httpx.Client, engine: Engine) -> None:
        identity = str(uuid4())
        for body, answer in ((asked([1, 2, 3]), False), (answered(0.2), True)):
            api.post(
                path_of(), **by_agent(identity, json.dumps(body).encode(), answer=answer)
            ).raise_for_status()
        [row] = kept(engine, 1, status="ok")
        assert (row.uid, row.label, row.lineage["version"]) == (UUID(identity), "dog", 1)

    def test_an_id_that_is_no_uuid_belongs_to_its_deployment(
        self, api: httpx.Client, engine: Engine, own_app: FastAPI
    ) -> None:
        recording_deployment(engine, "others")
        read_again(own_app)
        for name in ("pets", "others"):
            for body, answer in ((asked([1, 2, 3]), False), (answered(0.2), True)):
                sent = by_agent("call 7", json.dumps(body).encode(), answer=answer)
                api.post(path_of(name), **sent).raise_for_status()
        rows = kept(engine, 2, status="ok")
        assert {row.deployment for row in rows} == {"pets", "others"}
        assert len({row.uid for row in rows}) == 2

    def test_binary_tensors_are_found_though_it_drops_their_header(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        numbers = Tensor("x", "FP32", (2, 3), bytes(24))
        request, _ = rest.build_binary_request([numbers])
        shares = Tensor("probabilities", "FP32", (2, 2), b"\x00\x00\x80\x3f\x00\x00\x00\x00" * 2)
        response, _ = rest.encode_binary_response("pets", "1", None, [shares], {"probabilities"})
        for body, answer in ((request, False), (response, True)):
            sent = by_agent("9", body, answer=answer, content_type="application/octet-stream")
            api.post(path_of(), **sent).raise_for_status()
        assert [row.label for row in kept(engine, 2, status="ok")] == ["cat", "cat"]


class TestKinds:
    """What was sent is kept as what people can look at."""

    @pytest.fixture
    def digits(self, api: httpx.Client, engine: Engine, own_app: FastAPI) -> None:
        outputs = [{**PROBABILITIES[0], "shape": [-1, 10]}]
        recording_deployment(engine, "digits", inputs=IMAGE, outputs=outputs, labels=DIGITS)
        read_again(own_app)

    def test_an_image_file_is_the_input_that_pages_send(
        self, digits: None, api: httpx.Client, engine: Engine
    ) -> None:
        file = make_image(90)
        sent = rest.build_request([Tensor("image", "BYTES", (1,), [file])])
        send(api, [event(uuid4(), json.loads(sent))], "digits")
        [row] = kept(engine, 1, status="unanswered")
        response = api.get(f"/v1/inputs/{row.input_sha256}")
        assert response.headers["content-type"] == "image/png"

    def test_pixels_are_an_image(self, digits: None, api: httpx.Client, engine: Engine) -> None:
        pixels = [at % 256 for at in range(28 * 28)]
        tensor = {"name": "image", "shape": [1, 28, 28], "data": pixels}
        for datatype in ("UINT8", "FP32"):
            send(api, [event(uuid4(), {"inputs": [{**tensor, "datatype": datatype}]})], "digits")
        rows = kept(engine, 2, status="unanswered")
        assert len({row.input_sha256 for row in rows}) == 1, "the same picture is the same input"
        [listed] = api.get("/v1/inputs").json()["items"]
        assert (listed["kind"], listed["summary"]) == ("image", {"width": 28, "height": 28})

    def test_numbers_that_are_no_image_of_8_bits_stay_as_they_are(
        self, digits: None, api: httpx.Client, engine: Engine
    ) -> None:
        data = [0.25 + at / 1000 for at in range(28 * 28)]
        tensor = {"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "data": data}
        send(api, [event(uuid4(), {"inputs": [tensor]})], "digits")
        kept(engine, 1, status="unanswered")
        [listed] = api.get("/v1/inputs").json()["items"]
        assert listed["kind"] == "tensors"
