"""What other v2 servers support and this one rejects, each with its reason; the clients' calls are with the clients."""

import math
import struct
from typing import Any

import pytest

from ..conftest import Front
from .asking import REQUEST, VALUES, echoed, post, reason, with_sizes

pytestmark = pytest.mark.section("What is not supported")

ENDLESS = [math.nan, math.inf, -math.inf]
NOT_FINITE = "JSON has neither, and what one form rejects the other does not accept"
NO_JSON_FORM = "the specification gives it no JSON form; it travels in binary"


@pytest.mark.row(
    "`POST /v2/repository/models/NAME/{verb}`", why="deployments decide what is served, not clients"
)
@pytest.mark.parametrize("verb", ["load", "unload"])
def test_loading_is_rejected_with_what_to_do_instead(served: Front, verb: str) -> None:
    answer = served.client.post(f"/v2/repository/models/mymodel/{verb}", content=b"{}")
    assert "deployments" in reason(answer, 403)
    assert served.client.get("/v2/models/mymodel/ready").status_code == 200


@pytest.mark.row("`{path}`", why="{why}")
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("GET /v2/models", "KServe's; `POST /v2/repository/index` lists them with their states"),
        ("POST /v2/models/NAME/generate", "Triton's, for text models; models here take tensors"),
        ("POST /v2/models/NAME/generate_stream", "the same; an answer here is one body"),
    ],
)
def test_an_address_of_other_servers(served: Front, path: str, why: str) -> None:
    method, address = path.replace("NAME", "mymodel").split()
    reason(served.client.request(method, address), 404)


@pytest.mark.row("the output parameter `classification`", why="clients can sort the output")
def test_classification_is_rejected(served: Front) -> None:
    outputs = [{"name": "output0", "parameters": {"classification": 3}}]
    assert "classification" in reason(post(served, {**REQUEST, "outputs": outputs}), 400)


@pytest.mark.row("{where} in shared memory", why="clients are on other machines; tensors travel in the body")
@pytest.mark.parametrize("where", ["an input", "an output"])
def test_shared_memory_is_rejected(served: Front, where: str) -> None:
    parameters = {"shared_memory_region": "a", "shared_memory_byte_size": 16}
    if where == "an input":
        first, second = REQUEST["inputs"]
        region = {key: value for key, value in first.items() if key != "data"} | {"parameters": parameters}
        request: dict[str, Any] = {"inputs": [region, second]}
    else:
        request = {**REQUEST, "outputs": [{"name": "output0", "parameters": parameters}]}
    assert "shared memory is not offered" in reason(post(served, request), 400)


@pytest.mark.row("`FP16` in JSON, as {where}", why=NO_JSON_FORM)
@pytest.mark.parametrize("where", ["an input", "an output"])
def test_half_floats_have_no_json_form(served: Front, where: str) -> None:
    own: dict[str, Any] = {"data": [0.5, 1.0]} if where == "an input" else {"raw": VALUES["FP16"][1]}
    answer = echoed(served, "FP16", binary=where == "an input", **own)
    assert "FP16 has no JSON form" in reason(answer, 400)


@pytest.mark.row("`BF16`", why="Triton's; no datatype of the specification")
def test_bf16_is_no_datatype(served: Front) -> None:
    answer = echoed(served, "FP16", binary=True, datatype="BF16", data=[1, 2])
    assert "datatype must be one of FP16" in reason(answer, 400)


@pytest.mark.row("NaN and infinity in `{datatype}`, sent in binary", why=NOT_FINITE)
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_nan_and_infinity_are_rejected(served: Front, datatype: str) -> None:
    code = {"FP16": "e", "FP32": "f", "FP64": "d"}[datatype]
    for value in ENDLESS:
        answer = echoed(served, datatype, binary=True, raw=struct.pack(f"<2{code}", 1.0, value))
        assert "NaN" in reason(answer, 400)


@pytest.mark.row("an input with both `data` and `binary_data_size`", why="which of them would be meant?")
def test_both_data_and_bytes(served: Front) -> None:
    both = with_sizes(16, 2)
    both["inputs"][0]["data"] = [1, 2, 3, 4]
    assert "both" in reason(post(served, both, bytes(18)), 400)
