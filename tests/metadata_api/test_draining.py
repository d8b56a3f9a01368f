"""An API that stops answers what is under way, for as long as a model may take and no longer."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from metadata_api.__main__ import drain_seconds
from metadata_api.app import create_app
from metadata_api.settings import Max, Settings
from metadata_api.settings.auth import Auth
from tests.metadata_api.making import make_deployment, url_of
from tests.metadata_api.servers import V2Server, running, says
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    """One deployment, which may take a minute."""
    make_deployment(own_engine, "slow")
    with own_engine.begin() as connection:
        connection.execute(text("update deployments set response_seconds = 60"))
    return own_engine


@pytest.mark.parametrize(("most", "expected"), [(605.0, 65), (8.0, 8)])
def test_it_waits_as_long_as_a_running_deployment_may_take_up_to_its_setting(
    engine: Engine, tmp_path: Path, most: float, expected: int
) -> None:
    settings = Settings(
        auth=Auth(mode="off"),
        database_url=url_of(engine),
        store_dir=tmp_path / "store",
        serving_models_file=tmp_path / "models.json",
        max=Max(drain_seconds=most),
    )
    app = create_app(settings)
    assert drain_seconds(app.state.components) == min(15, most), "before it knows any deployment"
    with running(app):
        until(lambda: drain_seconds(app.state.components) == expected)


@pytest.mark.long
def test_an_inference_longer_than_the_usual_wait_is_answered_and_the_process_ends_after_it(
    engine: Engine, serving: V2Server, tmp_path: Path
) -> None:
    serving.models["slow"] = says(b"{}", seconds=10)
    port = free_port()
    environment = {
        "METADATA_API_AUTH_MODE": "off",
        "METADATA_API_DATABASE_URL": url_of(engine),
        "METADATA_API_STORE_DIR": str(tmp_path / "store"),
        "METADATA_API_SERVING_MODELS_FILE": str(tmp_path / "models.json"),
        "METADATA_API_SERVING_URL": serving.url,
        "METADATA_API_PORT": str(port),
        "METADATA_API_MAX_DRAIN_SECONDS": "605",
    }
    process = subprocess.Popen([sys.executable, "-m", "metadata_api"], env={**os.environ, **environment})
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: is_ready(address), "the API is ready", 60)
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(
                httpx.post, f"{address}/v2/models/slow/infer", content=b"{}", timeout=30, trust_env=False
            )
            until(lambda: serving.requests, "the model is asked")
            process.send_signal(signal.SIGTERM)
            stopped = time.monotonic()
            assert asked.result(30).status_code == 200
            process.wait(15)
        assert time.monotonic() - stopped < 25
    finally:
        process.kill()
        process.wait(15)


def is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
