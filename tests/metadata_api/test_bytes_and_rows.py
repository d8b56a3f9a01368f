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
from metadata_api.settings.stores import Retention
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, make_mar, open_settings, url_of
from tests.metadata_api.servers import V2Server, answers, running
from tests.ports import free_port
from tests.waiting import until

KILLS = int(os.environ.get("MARINA_KILLS", "100"))
PREDICTIONS = int(os.environ.get("MARINA_PREDICTIONS", "1000000"))
KEPT = max(1000, PREDICTIONS // 20)
WAVE = max(1000, PREDICTIONS // 50)
MODELS = [f"m{number}" for number in range(10)]
PAGES = (
    "/v1/predictions",
    "/v1/predictions?deployment=m3",
    "/v1/predictions?label=5",
    "/v1/predictions?experiment=m7",
    "/v1/inputs",
)
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
    port, chance, end = free_port(), random.Random(os.environ.get("MARINA_SEED", "15")), threading.Event()
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


class TestManyPredictions:
    """Nearly all are written as rows and files, a wave at a time; the others are asked meanwhile."""

    @pytest.fixture
    def api(self, own_engine: Engine, serving: V2Server, tmp_path: Path) -> Iterator[httpx.Client]:
        for name in MODELS:
            make_deployment(own_engine, name)
            serving.models[name] = answers("5")
        settings = open_settings(own_engine, tmp_path, serving.url).model_copy(
            update={"retention": Retention(grace_seconds=1, interval_seconds=0.5, predictions_rows=KEPT)}
        )
        with running(create_app(settings)) as address, httpx.Client(base_url=address, timeout=30) as api:
            yield api

    @pytest.mark.long
    @pytest.mark.timeout(3600)
    def test_tables_store_and_pages_stay_within_their_bounds(
        self, api: httpx.Client, own_engine: Engine, tmp_path: Path
    ) -> None:
        largest = 0
        for wave in range(PREDICTIONS // WAVE):
            add_predictions(own_engine, tmp_path / "store", wave)
            statuses = {
                api.post(
                    "/v1/predictions", files={"image": ("x.png", _picture(wave * 10 + number))}
                ).status_code
                for number in range(10)
            }
            assert statuses == {200}
            until(lambda: size(own_engine, "predictions") <= KEPT + WAVE, "no more are too many", 120)
            largest = max(largest, len(input_files(tmp_path)))
        until(lambda: size(own_engine, "predictions") <= KEPT, "the oldest are gone", 120)
        inputs = size(own_engine, "inputs")
        until(lambda: len(input_files(tmp_path)) == inputs, "their bytes are gone", 300, pause=1)
        assert inputs <= KEPT
        assert size(own_engine, "stored_objects") == inputs + len(MODELS)
        pages = {path: median_seconds(api, path) for path in PAGES}
        found = check(api)
        # The deployments' own archives were never stored.
        checks = (found["checked"], found["missing"], found["damaged"], found["unreferenced"])
        assert checks == (inputs + len(MODELS), len(MODELS), 0, 0)
        assert {one["kind"] for one in found["findings"]} == {"archive"}
        print(f"{PREDICTIONS} predictions, {size(own_engine, 'predictions')} kept, at most {largest} files; p50 of "
              f"pages: { {path: f'{seconds * 1000:.1f} ms' for path, seconds in pages.items()} }")  # fmt: skip
        assert max(pages.values()) <= 0.020


def add_predictions(engine: Engine, store: Path, wave: int) -> None:
    """A wave of predictions, one of each model about each input, as the API would have written them."""
    digests = []
    for number in range(WAVE // len(MODELS)):
        data = f"input {wave} {number}".encode()
        digests.append(hashlib.sha256(data).hexdigest())
        path = store / "images" / digests[-1][:2] / digests[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with engine.begin() as connection:
        for statement in (
            "insert into stored_objects (kind, sha256, size) select 'input', sha, 10 from unnest(:digests) sha",
            "insert into inputs (sha256, kind, media_type, size) "
            "select sha, 'text', 'text/plain', 10 from unnest(:digests) sha",
            "insert into predictions (uid, request_uid, input_sha256, deployment, source, status, kind, label, "
            "latency_ms, lineage) select gen_random_uuid(), md5(sha)::uuid, sha, 'm' || n, 'api', 'ok', 'label', '5', "
            """1, jsonb_build_object('experiment', 'm' || n, 'version', 1) """
            f"from unnest(:digests) sha, generate_series(0, {len(MODELS) - 1}) n",
        ):
            connection.execute(text(statement), {"digests": digests})


def size(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return connection.scalar(text(f"select count(*) from {table}")) or 0


def input_files(folder: Path) -> list[Path]:
    return list((folder / "store" / "images").glob("??/*"))


def median_seconds(api: httpx.Client, path: str) -> float:
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        api.get(path).raise_for_status()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _picture(number: int) -> bytes:
    file = BytesIO()
    Image.frombytes("L", (4, 1), number.to_bytes(4, "big")).save(file, "PNG")
    return file.getvalue()
