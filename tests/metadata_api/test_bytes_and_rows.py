"""Bytes and rows belong together, over MARINA_KILLS kills of the API and over MARINA_PREDICTIONS predictions."""

import hashlib
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import Engine, text

from metadata_api.app import create_app
from metadata_api.settings import Settings
from metadata_api.settings.auth import Auth
from metadata_api.settings.stores import Retention
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, make_image, make_mar, url_of
from tests.metadata_api.servers import V2Server, answers, running
from tests.ports import free_port
from tests.waiting import until

KILLS = int(os.environ.get("MARINA_KILLS", "100"))
PREDICTIONS = int(os.environ.get("MARINA_PREDICTIONS", "50000"))
WRITERS = 3
VERSIONS = "/v1/experiments/digits/versions"


@pytest.fixture
def own_engine(postgres_url: str) -> Iterator[Engine]:
    """A database of each test's own, as each has a store of its own."""
    with own_database(postgres_url) as engine:
        yield engine


@dataclass
class Done:
    """What one writer was told: sha256 by number of what must be there, and numbers that must be gone."""

    there: dict[int, str] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)


@contextmanager
def api_process(engine: Engine, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The API as its own process that collects as often and as soon as it can."""
    environment = {
        "METADATA_API_AUTH_MODE": "off",
        "METADATA_API_DATABASE_URL": url_of(engine),
        "METADATA_API_STORE_DIR": str(folder / "store"),
        "METADATA_API_SERVING_MODELS_FILE": str(folder / "models.json"),
        "METADATA_API_SERVING_URL": "http://127.0.0.1:9",
        "METADATA_API_PORT": str(port),
        "METADATA_API_RETENTION_GRACE_SECONDS": "0.3",
        "METADATA_API_RETENTION_INTERVAL_SECONDS": "0.1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "metadata_api"], env={**os.environ, **environment}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(15)


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def write(port: int, folder: Path, name: str, end: threading.Event) -> Done:
    """Upload, and delete every other; some bytes come again, while their first copy is being collected."""
    done, count = Done(), 0
    folder.mkdir()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as api:
        while not end.is_set():
            count += 1
            archive = make_mar(folder, salt=f"{name} {count if count % 3 else count - 2}")
            try:
                answer = api.post(VERSIONS, content=archive)
                if answer.status_code not in (200, 201):
                    continue
                version = answer.json()
                done.there[version["version"]] = version["sha256"]
                if count % 2:
                    continue
                # From here on it may be gone, whatever is heard of it.
                del done.there[version["version"]]
                if api.delete(f"{VERSIONS}/{version['version']}").status_code == 200:
                    done.gone.add(version["version"])
            except httpx.TransportError:
                time.sleep(0.02)
    return done


def stored(folder: Path) -> set[str]:
    return {path.name for path in (folder / "store" / "artifacts").glob("??/*")}


def referenced(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(text("select sha256 from model_versions")))


def check(api: httpx.Client) -> dict[str, Any]:
    api.post("/v1/fsck", json={}).raise_for_status()

    def finished() -> dict[str, Any] | None:
        found: dict[str, Any] = api.get("/v1/fsck").json()
        return found if found["state"] == "finished" else None

    return until(finished, "the check ends", 120)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_killed_api_loses_no_acknowledged_write_and_leaves_no_orphan(
    own_engine: Engine, tmp_path: Path
) -> None:
    port, chance, end = free_port(), random.Random(15), threading.Event()
    with ThreadPoolExecutor() as pool:
        writers = []
        try:
            for kill in range(KILLS):
                with api_process(own_engine, tmp_path, port) as process:
                    until(lambda: is_up(port), "the API is up", 60)
                    if kill == 0:
                        url = f"http://127.0.0.1:{port}/v1/experiments"
                        httpx.post(url, json={"name": "digits"}, timeout=20).raise_for_status()
                        writers = [
                            pool.submit(write, port, tmp_path / str(one), str(one), end)
                            for one in range(WRITERS)
                        ]
                    time.sleep(chance.uniform(0.05, 0.7))
                    process.kill()
        finally:
            end.set()
        done = [one.result(60) for one in writers]
    with (
        api_process(own_engine, tmp_path, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as api,
    ):
        until(lambda: is_up(port), "the API is up", 60)
        lost = [
            number
            for one in done
            for number, sha256 in one.there.items()
            if hashlib.sha256(api.get(f"/artifacts/digits/{number}/digits.mar").content).hexdigest() != sha256
        ]
        back = [n for one in done for n in one.gone if api.get(f"{VERSIONS}/{n}").status_code != 404]
        print(f"{KILLS} kills, {sum(len(one.there) for one in done)} uploads and "
              f"{sum(len(one.gone) for one in done)} deletions acknowledged")  # fmt: skip
        assert (lost, back) == ([], [])
        # One that was condemned by a collector that was killed waits two minutes for the next.
        until(lambda: stored(tmp_path) == referenced(own_engine), "the orphans are gone", 200, pause=1)
        found = check(api)
        assert (found["missing"], found["damaged"], found["unreferenced"]) == (0, 0, 0)
    assert min(len(one.there) for one in done) > KILLS / 20


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_predictions_stay_within_their_bounds(
    own_engine: Engine, serving: V2Server, tmp_path: Path
) -> None:
    models = [f"m{number}" for number in range(10)]
    for name in models:
        make_deployment(own_engine, name)
        serving.models[name] = answers("5")
    kept = max(1000, PREDICTIONS // 20)
    app = create_app(
        Settings(
            auth=Auth(mode="off"),
            database_url=url_of(own_engine),
            store_dir=tmp_path / "store",
            serving_models_file=tmp_path / "models.json",
            serving_url=serving.url,
            retention=Retention(grace_seconds=1, interval_seconds=0.5, predictions_rows=kept),
        )
    )
    with running(app) as address, httpx.Client(base_url=address, timeout=30) as api:

        def ask(number: int) -> int:
            # Each a picture of its own.
            picture = make_image() if number % 10 == 0 else _picture(number)
            answer = api.post("/v1/predictions", files={"image": ("x.png", picture)})
            return answer.status_code

        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(ask, range(PREDICTIONS // len(models))))
        assert set(statuses) == {200}
        with own_engine.connect() as connection:

            def size(table: str) -> int:
                return connection.scalar(text(f"select count(*) from {table}")) or 0

            until(lambda: size("predictions") <= kept, "the oldest are gone", 120)
            images = size("inputs")
            until(
                lambda: len(list((tmp_path / "store" / "images").glob("??/*"))) == images,
                "their bytes are gone",
                60,
            )
        assert images <= kept
        seconds = []
        for _ in range(50):
            start = time.perf_counter()
            api.get("/v1/predictions").raise_for_status()
            seconds.append(time.perf_counter() - start)
        found = check(api)
        # The deployments' own archives were never stored.
        assert (found["checked"], found["missing"], found["damaged"]) == (
            images + len(models),
            len(models),
            0,
        )
        assert {one["kind"] for one in found["findings"]} == {"archive"}
        print(
            f"{PREDICTIONS} predictions, {kept} kept, list page p50 {statistics.median(seconds) * 1000:.1f} ms"
        )
        assert statistics.median(seconds) <= 0.020


def _picture(number: int) -> bytes:
    file = BytesIO()
    Image.frombytes("L", (4, 1), number.to_bytes(4, "big")).save(file, "PNG")
    return file.getvalue()
