"""Inputs of every kind, as people can look at them."""

import json
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor
from tests.metadata_api.making import make_image
from tests.metadata_api.recordings.sending import (
    PROBABILITIES,
    event,
    kept,
    read_again,
    recording_deployment,
    send,
)

IMAGE = [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28], "accepts": ["UINT8", "FP32", "BYTES"]}]
DIGITS = [str(digit) for digit in range(10)]


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
