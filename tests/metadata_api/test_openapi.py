"""The published OpenAPI document against the real API, by schemathesis: nothing sent ends in a 5xx.

Right and wrong values in every place, and requests that follow from each other's responses.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from tests.metadata_api.making import make_deployment

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# Names that exist, so that requests reach what lies behind them.
CONFIGURATION = """
[parameters]
"path.name" = "digits"
"""
SEED = os.environ.get("MARINA_FUZZ_SEED", "20261124")  # the same requests in every run
LONG_SECONDS = int(os.environ.get("MARINA_FUZZ_SECONDS", "1200"))
LONG = [pytest.mark.long, pytest.mark.timeout(2 * LONG_SECONDS + 300)]


@pytest.mark.parametrize("seconds", [5, pytest.param(LONG_SECONDS, marks=LONG, id="long")])
def test_no_request_ends_in_a_fault(api: httpx.Client, engine: Engine, tmp_path: Path, seconds: int) -> None:
    make_deployment(engine, "digits")
    document = api.get("/openapi.json").json()
    # No model runs here and the archive is in no store: 503 is the right answer for these.
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/v1/")}
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    command = [str(SCHEMATHESIS), "--config-file", "schemathesis.toml", "run", "openapi.json"]
    command += [
        "--url",
        str(api.base_url),
        "--phases",
        "coverage,fuzzing,stateful",
        "--mode",
        "all",
        "--max-time",
        str(seconds),
    ]
    command += ["--checks", "not_a_server_error", "--continue-on-failure", "--generation-database", "none"]
    ran = subprocess.run(
        [*command, "--seed", SEED], cwd=tmp_path, capture_output=True, text=True, timeout=2 * seconds + 140
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr
