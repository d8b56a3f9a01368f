"""KServe's InferenceRESTClient, unchanged, against a real front; `make install` makes the environment it needs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Front

PYTHON = Path(sys.prefix) / "kserve-client" / "bin" / "python"
SCRIPT = Path(__file__).with_name("kserve_client.py")
GOLDEN = {
    "model_name": "summing",
    "id": "seven",
    "total": [21.0],
    "label": ["sum 21"],
}


@pytest.fixture(scope="module")
def said(served: Front) -> dict[str, Any]:
    """What each call of the client gave."""
    assert PYTHON.exists(), "make install"
    command = [str(PYTHON), "-W", "ignore", str(SCRIPT), served.url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_health(said: dict[str, Any]) -> None:
    assert said["is_server_live"] is True
    assert said["is_server_ready"] is True
    assert said["is_model_ready"] is True
    assert said["is_model_ready of none"] is False


@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("binary_in", [False, True])
def test_infer(said: dict[str, Any], binary_in: bool, binary_out: bool) -> None:
    assert said[f"infer {binary_in} {binary_out}"] == GOLDEN


def test_infer_with_a_plain_document(said: dict[str, Any]) -> None:
    assert said["infer with a dict"]["total"] == [6.0]


def test_refusals_show_their_reason(said: dict[str, Any]) -> None:
    status, text = said["infer of none"]
    assert (status, "there is no model 'none'" in text) == (404, True)
    status, text = said["infer of a wrong shape"]
    assert (status, "'image'" in text) == (400, True)
