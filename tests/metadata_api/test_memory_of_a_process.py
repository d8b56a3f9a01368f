"""The memory of the whole process stays within its limit, whatever clients send and models answer."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import httpx
import numpy
import psutil
import pytest
from PIL import Image
from sqlalchemy import Engine

from serving_runtime.archive import mar
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, url_of
from tests.ports import free_port
from tests.waiting import until

MEBIBYTE = 1024 * 1024
# Of the chart.
LIMIT_BYTES = 768 * MEBIBYTE


class LargeFront(BaseHTTPRequestHandler):
    """A front whose model answers 60 MB, as code of an archive may."""

    protocol_version = "HTTP/1.1"
    BODY = b"x" * (60 * MEBIBYTE)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(self.BODY)

    def do_GET(self) -> None:
        self._answer(b'{"models": []}' if self.path == "/status" else self.BODY)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def own_process(postgres_url: str, tmp_path: Path) -> Iterator[tuple[str, psutil.Process, Engine]]:
    """The API as a process of its own, as in a pod: its address, process and database."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), LargeFront)
    Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    with own_database(postgres_url) as engine:
        settings = {
            "AUTH_MODE": "off",
            "DATABASE_URL": url_of(engine),
            "STORE_DIR": str(tmp_path / "store"),
            "SERVING_MODELS_FILE": str(tmp_path / "models.json"),
            "SERVING_URL": f"http://127.0.0.1:{server.server_port}",
            "PORT": str(port),
        }
        environment = os.environ | {f"METADATA_API_{name}": value for name, value in settings.items()}
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "metadata_api"], env=environment, cwd=tmp_path, stdout=log, stderr=log
            )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _is_there(url), "the API is there", 60)
            yield url, psutil.Process(process.pid), engine
            assert "Traceback" not in (tmp_path / "log").read_text()
        finally:
            process.terminate()
            process.wait(30)
            server.shutdown()
            server.server_close()


def _is_there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _noise(side: int, seed: int) -> bytes:
    """An image that does not get smaller by packing."""
    file = BytesIO()
    pixels = numpy.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


@pytest.mark.long
def test_a_hundred_clients_at_the_worst_requests(own_process: tuple[str, psutil.Process, Engine]) -> None:
    url, process, engine = own_process
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(100):
            body = {"name": f"wide-{number}", "tags": {f"t{n}": "x" * 9_900 for n in range(10)}}
            assert client.post("/v1/experiments", json=body | {"parameters": body["tags"]}).status_code == 201
        steps = list(range(100_000))
        for number in range(5):
            curve = {"loss": {"steps": steps, "values": [step / 7 for step in steps]}}
            assert (
                client.post("/v1/experiments", json={"name": f"curve-{number}", "curves": curve}).status_code
                == 201
            )
        make_deployment(engine, "digits")
        images = [_noise(1850, seed) for seed in range(3)]
        image = client.post("/v1/predictions", files={"image": images[0]}).json()["input"]["sha256"]
        until(lambda: client.get("/v2/models/digits").status_code != 404, "the model is routed to", 20)
    before = process.memory_info().rss
    kind = {"content-type": "application/json"}
    many = "&".join(f"experiment=curve-{number}" for number in range(5)) + "&experiment=wide-1" * 195
    worst: list[Callable[[httpx.Client, int], httpx.Response]] = [
        lambda c, _: c.get("/v1/experiments?limit=200"),
        lambda c, n: c.get(f"/v1/curves?{many}&points={5000 - n % 7}"),
        lambda c, _: c.post("/v1/experiments", content=b"[" + b"{}," * 2_600_000 + b"{}]", headers=kind),
        lambda c, n: c.post(
            "/v1/experiments",
            content=json.dumps({"name": f"new-{n}", "curves": {"loss": {"steps": steps, "values": steps}}}),
            headers=kind,
        ),
        lambda c, n: c.post("/v1/predictions", files={"image": images[n % 3]}),
        lambda c, _: c.post("/v1/predictions", data={"input_sha256": image}),
        lambda c, _: c.get(f"/v1/inputs/{image}"),
        lambda c, _: c.post("/v2/models/digits/infer", content=b" " * (10 * MEBIBYTE)),
        lambda c, _: c.get("/v2/models/digits"),
        lambda c, _: c.get("/v1/audit/export.csv?limit=100000"),
    ]
    statuses: dict[int, int] = {}
    peak, end = before, time.monotonic() + 45

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < end:
                try:
                    status = worst[number % len(worst)](client, number).status_code
                except httpx.HTTPError:
                    status = 0
                statuses[status] = statuses.get(status, 0) + 1

    with ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(ask, number) for number in range(100)]
        while not all(one.done() for one in asked):
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
        for one in asked:
            one.result()
    print(
        f"RSS before {before // MEBIBYTE} MiB, at most {peak // MEBIBYTE} MiB; responses by status {statuses}"
    )
    assert peak < LIMIT_BYTES
    assert statuses.get(200, 0) > 20, statuses
    assert not statuses.keys() & {0, 500}, statuses
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/v1/experiments?limit=1").status_code == 200


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_form", [False, True], ids=["body", "form"])
def test_an_upload_of_a_gigabyte_takes_no_memory(
    own_process: tuple[str, psutil.Process, Engine], tmp_path: Path, is_form: bool
) -> None:
    url, process, _ = own_process
    weights, archive = tmp_path / "weights.bin", tmp_path / "large.mar"
    part = numpy.random.default_rng(0).bytes(10_000_000)
    with weights.open("wb") as file:
        for _ in range(100):
            file.write(part)
    (tmp_path / "handler.py").write_text("class Handler: ...\n")
    files: dict[str, bytes | Path] = {"handler.py": tmp_path / "handler.py", "weights.bin": weights}
    mar.build(archive, name="large", handler="handler.py", serialized_file=None, files=files)
    assert archive.stat().st_size > 1_000_000_000
    with httpx.Client(base_url=url, timeout=300) as client, archive.open("rb") as sent:
        client.post("/v1/experiments", json={"name": "large"}).raise_for_status()
        before, peak, ended = process.memory_info().rss, [0], threading.Event()

        def watch() -> None:
            while not ended.wait(0.05):
                peak[0] = max(peak[0], process.memory_info().rss)

        watching = Thread(target=watch)
        watching.start()
        try:
            address = "/v1/experiments/large/versions"
            answer = (
                client.post(address, files={"file": sent}) if is_form else client.post(address, content=sent)
            )
        finally:
            ended.set()
            watching.join(10)
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] > 1_000_000_000
    assert peak[0] - before < 64 * MEBIBYTE
