"""The published OpenAPI document against the real front, by schemathesis: what it says is what happens."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from ..conftest import Front
from .through_api import ThroughApi

pytestmark = pytest.mark.section("OpenAPI")

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# Names that exist, so that requests reach what lies behind them.
CONFIGURATION = """
[parameters]
"path.model_name" = "summing"
"path.model_version" = "1"
"""
FUZZING_SECONDS = 12
SEED = "20261124"  # the same requests in every run


def published(served: Front) -> dict[str, Any]:
    """What the front publishes; of that the API has what is below /v2."""
    if not isinstance(served, ThroughApi):
        document: dict[str, Any] = served.client.get("/openapi.json").json()
        return document
    document = served.front_client.get("/openapi.json").json()
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/v2")}
    return document


def check(served: Front, folder: Path, document: dict[str, Any], *options: str) -> None:
    """Run schemathesis on a document; its report is the message of a failure."""
    (folder / "openapi.json").write_bytes(orjson.dumps(document))
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    command = [str(SCHEMATHESIS), "--config-file", "schemathesis.toml", "run", "openapi.json"]
    command += ["--url", served.url, "--phases", "coverage,fuzzing", "--max-time", str(FUZZING_SECONDS)]
    command += ["--continue-on-failure", "--generation-database", "none", "--seed", SEED, *options]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=150)
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr


def for_the_summing_model(document: dict[str, Any]) -> dict[str, Any]:
    """The document with requests that fit this one model, so that every request it allows must be answered."""
    schemas = document["components"]["schemas"]
    # Floats, because JSON Schema cannot tell 1.0 from 1, and a model can.
    pixels = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 200}}
    schemas["InputTensor"] = {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "properties": {
            "name": {"const": "image"},
            "datatype": {"const": "FP32"},
            "shape": {"const": [1, 2, 3]},
            "data": {**pixels, "minItems": 6, "maxItems": 6},
        },
        "additionalProperties": False,
    }
    schemas["InferRequest"]["properties"]["inputs"]["maxItems"] = 1
    schemas["InferRequest"]["properties"]["outputs"]["maxItems"] = 1
    schemas["RequestedOutput"]["properties"]["name"] = {"enum": ["total", "label"]}
    for path in [path for path in document["paths"] if path.endswith("load")]:
        del document["paths"][path]  # rejected whatever is sent
    return document


@pytest.mark.long
@pytest.mark.row(
    "schemathesis: whatever is sent, right or wrong, the answer is one that the document describes"
)
def test_nothing_breaks_and_every_answer_is_as_described(served: Front, tmp_path: Path) -> None:
    before = served.status("summing")
    check(served, tmp_path, published(served), "--exclude-checks", "positive_data_acceptance")
    assert served.status("summing") == before


@pytest.mark.long
@pytest.mark.row(
    "schemathesis: every request that the document, narrowed to one model, allows is answered with 200"
)
def test_what_fits_the_model_is_answered(served: Front, tmp_path: Path) -> None:
    # The narrowed document forbids more than the model does, such as negative pixels; see the test above.
    narrowed = for_the_summing_model(published(served))
    check(served, tmp_path, narrowed, "--exclude-checks", "negative_data_rejection")


@pytest.mark.row("every address and method of the document is there")
def test_every_address_of_the_document_exists(served: Front) -> None:
    for path, item in published(served)["paths"].items():
        address = path.replace("{model_name}", "summing").replace("{model_version}", "1")
        for method in set(item) & {"get", "post"}:
            answer = served.client.request(method, address)
            assert answer.status_code in (200, 400, 403), f"{method} {address}"
