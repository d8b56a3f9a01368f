"""What a client reads when it asks wrongly, or when the model fails: one status each, and a text under `error`."""

from typing import Any

import httpx
import orjson
import pytest

from ..conftest import Front
from .asking import REQUEST, post, reason
from .conftest import MAX_BODY_BYTES
from .through_api import ThroughApi

pytestmark = pytest.mark.section("Errors")

FIRST, SECOND = REQUEST["inputs"]
WRONG: dict[str, Any] = {
    "no object": [],
    "no `inputs`": {},
    "an input without a name": {"inputs": [{**FIRST, "name": None}, SECOND]},
    "an input that the model does not have": {"inputs": [FIRST, SECOND, {**FIRST, "name": "input2"}]},
    "an input that is missing": {"inputs": [FIRST]},
    "an input that is given twice": {"inputs": [FIRST, FIRST, SECOND]},
    "an input without `data`": {"inputs": [{**FIRST, "data": None}, SECOND]},
    "another datatype": {"inputs": [{**FIRST, "datatype": "FP32"}, SECOND]},
    "a datatype in small letters": {"inputs": [{**FIRST, "datatype": "uint32"}, SECOND]},
    "a shape that does not fit the model": {"inputs": [{**FIRST, "shape": [4]}, SECOND]},
    "a shape that does not fit the data": {"inputs": [{**FIRST, "shape": [3, 2]}, SECOND]},
    "the specification's own shape [3] for one element": {
        "inputs": [FIRST, {**SECOND, "shape": [3], "data": [True]}]
    },
    "inputs with different numbers of rows": {"inputs": [FIRST, {**SECOND, "shape": [1], "data": [True]}]},
    "an output that the model does not have": {**REQUEST, "outputs": [{"name": "output1"}]},
    "an output that is requested twice": {**REQUEST, "outputs": [{"name": "output0"}] * 2},
    "an `id` that is no string": {**REQUEST, "id": 42},
    "a parameter that is no string, number or boolean": {**REQUEST, "parameters": {"a": []}},
}


@pytest.mark.row("400: {what}")
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request(served: Front, what: str) -> None:
    reason(post(served, WRONG[what]), 400)


@pytest.mark.row("400: a body that is no JSON, or none")
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"inputs": [NaN]}', b"inputs=1"])
def test_a_body_that_is_no_json(served: Front, body: bytes) -> None:
    answer = served.client.post("/v2/models/mymodel/infer", content=body)
    assert "JSON" in reason(answer, 400)


@pytest.mark.row("400: a `ValueError` of the model's own code, with its text")
def test_what_the_model_does_not_take(served: Front) -> None:
    answer = served.infer("summing", [251, 0, 0, 0, 0, 0])
    assert reason(answer, 400) == "the first pixel may not be 251"


@pytest.mark.row("404: {what}")
@pytest.mark.parametrize(
    ("what", "path", "named"),
    [
        ("no such model", "none", "'none'"),
        ("no such version", "mymodel/versions/9", "9"),
    ],
)
@pytest.mark.parametrize("rest", ["", "/ready", "/config", "/stats", "/infer"])
def test_what_is_not_there(served: Front, what: str, path: str, named: str, rest: str) -> None:
    method = "POST" if rest == "/infer" else "GET"
    answer = served.client.request(method, f"/v2/models/{path}{rest}", content=orjson.dumps(REQUEST))
    assert named in reason(answer, 404)


@pytest.mark.row("404: no such address")
@pytest.mark.parametrize(
    "path", ["/", "/v1/models", "/v2/nothing", "/v2/models/a/b/ready", "/v2/models/mymodel/versions"]
)
def test_an_address_that_is_not_there(served: Front, path: str) -> None:
    answer = served.client.get(path)
    if isinstance(served, ThroughApi) and not path.startswith("/v2"):
        assert answer.status_code == 404  # an address of the API's own, in the form of the API
    else:
        reason(answer, 404)


@pytest.mark.row("405 with `Allow`: another method")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v2", "GET"),
        ("DELETE", "/v2/models/mymodel", "GET"),
        ("PUT", "/v2/models/mymodel/ready", "GET"),
        ("GET", "/v2/models/mymodel/infer", "POST"),
        ("GET", "/v2/repository/index", "POST"),
    ],
)
def test_another_method(served: Front, method: str, path: str, allowed: str) -> None:
    answer = served.client.request(method, path)
    assert allowed in reason(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.row("413: a body that is too long, by its Content-Length or while it arrives")
def test_a_body_that_is_too_long(served: Front) -> None:
    long = b" " * (MAX_BODY_BYTES + 1)
    reason(served.client.post("/v2/models/mymodel/infer", content=long), 413)
    pieces = (long[start : start + 65536] for start in range(0, len(long), 65536))
    reason(served.client.post("/v2/models/mymodel/infer", content=pieces), 413)


@pytest.mark.row("502: {what}")
@pytest.mark.parametrize(
    ("what", "pixel", "word"),
    [("any other error of the model's own code", 252, "252"), ("NaN in what the model answered", 250, "NaN")],
)
def test_a_model_that_fails(served: Front, what: str, pixel: int, word: str) -> None:
    assert word in reason(served.infer("summing", [pixel, 0, 0, 0, 0, 0]), 502)


@pytest.mark.row("after any of them the next request on the same connection is answered")
def test_a_rejection_costs_no_connection(served: Front) -> None:
    with httpx.Client(base_url=served.url, timeout=20) as client:
        opened: list[Any] = []
        for path, body in (("none", REQUEST), ("mymodel", {}), ("mymodel", REQUEST)):
            answer = client.post(f"/v2/models/{path}/infer", json=body)
            opened.append(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert answer.status_code == 200
    assert opened[0] is not None
    assert opened == opened[:1] * 3
