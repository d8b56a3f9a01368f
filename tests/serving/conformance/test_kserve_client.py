"""KServe's InferenceRESTClient, unchanged, against a real front; `make install` makes the environment it needs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from serving_runtime.contracts import DATATYPES

from ..conftest import Front

pytestmark = pytest.mark.section("kserve.InferenceRESTClient")

PYTHON = Path(sys.prefix) / "kserve-client" / "bin" / "python"
ROOT = Path(__file__).parents[3]
CLIENT = "tests.serving.conformance.kserve_client"
GOLDEN = {
    "model_name": "summing",
    "id": "seven",
    "total": [21.0],
    "label": ["sum 21"],
}
ASKED = {"is_server_live", "is_server_ready", "is_model_ready", "infer"}
OTHERS = {"close", "explain"}  # no call of v2


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The client in its own environment: it reads addresses of servers, and writes what each call gave."""
    assert PYTHON.exists(), "make install"
    command = [str(PYTHON), "-W", "ignore", "-m", CLIENT]
    log = tmp_path_factory.mktemp("kserve-client") / "stderr"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    with process:
        yield process
        process.communicate(timeout=30)
    assert process.returncode == 0, log.read_text()


@pytest.fixture(scope="module")
def said(served: Front, client: subprocess.Popen[str]) -> dict[str, Any]:
    """What each call of the client gave."""
    assert client.stdin
    assert client.stdout
    client.stdin.write(f"{served.url}\n")
    client.stdin.flush()
    late = Timer(120, client.kill)  # ends the output as well
    late.start()
    documents = (line for line in client.stdout if line.startswith("{"))
    found: dict[str, Any] = json.loads(next(documents, "null"))
    late.cancel()
    assert found, "the client ended, or was ended after 120 s"
    return found


@pytest.mark.row("it has no call of v2 but these")
def test_every_call_of_the_client_is_asked(said: dict[str, Any]) -> None:
    assert set(said["calls"]) == ASKED | OTHERS


@pytest.mark.row("`{name}`")
@pytest.mark.parametrize("name", ["is_server_live", "is_server_ready", "is_model_ready"])
def test_health(said: dict[str, Any], name: str) -> None:
    assert said[name] is True


@pytest.mark.row("`is_model_ready` of no model: false")
def test_no_model_is_not_ready(said: dict[str, Any]) -> None:
    assert said["is_model_ready of none"] is False


@pytest.mark.row("`infer` with an `InferRequest`, {inputs} in, {outputs} out")
@pytest.mark.parametrize("outputs", ["JSON", "binary"])
@pytest.mark.parametrize("inputs", ["JSON", "binary"])
def test_infer(said: dict[str, Any], inputs: str, outputs: str) -> None:
    assert said[f"infer, {inputs} in, {outputs} out"] == GOLDEN


@pytest.mark.row("`infer` with a `dict`")
def test_infer_with_a_plain_document(said: dict[str, Any]) -> None:
    assert said["infer with a dict"]["total"] == [6.0]


@pytest.mark.row("`infer`, every datatype, {form} both ways (`FP16` always in binary)")
@pytest.mark.parametrize("form", ["JSON", "binary"])
def test_every_datatype_keeps_its_values(said: dict[str, Any], form: str) -> None:
    assert sorted(said[f"infer, every datatype, {form}"]) == sorted(DATATYPES)


@pytest.mark.row("`infer` that is rejected: `HTTPStatusError` with status and reason")
def test_rejections_show_their_reason(said: dict[str, Any]) -> None:
    status, text = said["infer of none"]
    assert (status, "there is no model 'none'" in text) == (404, True)
    status, text = said["infer of a wrong shape"]
    assert (status, "'image'" in text) == (400, True)


@pytest.mark.section("What is not supported")
@pytest.mark.row(
    "gRPC, as `kserve.InferenceGRPCClient` speaks it",
    why="binary tensors over REST carry the same bytes, and a second way in would be a second one to guard",
)
def test_grpc_is_rejected_at_once(said: dict[str, Any]) -> None:
    assert said["gRPC"] == "UNAVAILABLE"
