"""The memory of the API is bounded whatever is asked: single requests by limits, all together by what they hold."""

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

from metadata_api import memory
from metadata_api.app import create_app
from metadata_api.database import pages
from metadata_api.errors import Unavailable
from metadata_api.memory import Held, Memory
from metadata_api.schemas import experiments
from metadata_api.settings import Max, Settings
from serving_runtime.archive import mar
from tests.databases import own_database
from tests.metadata_api.making import make_deployment, url_of
from tests.metadata_api.servers import running
from tests.ports import free_port
from tests.waiting import until

MEBIBYTE = 1024 * 1024
# Of the chart.
LIMIT_BYTES = 768 * MEBIBYTE


class TestHeld:
    def test_there_is_room_up_to_the_total(self) -> None:
        shared = Memory(100)
        one, other = Held(shared), Held(shared)
        assert one.take(60)
        assert not other.take(60)
        one.release()
        assert other.take(60)
        assert shared.used == 60

    def test_what_is_larger_than_all_is_let_alone(self) -> None:
        shared = Memory(100)
        assert Held(shared).take(1000)
        assert not Held(shared).take(1)

    def test_what_runs_on_after_its_request_has_ended_holds_nothing(self) -> None:
        shared = Memory(1000)
        held = Held(shared)
        assert held.take(400)
        held.release()
        assert held.take(400)
        held.give(400)
        assert (shared.used, held.size) == (0, 0)

    def test_whoever_finds_no_room_waits_and_then_gives_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "WAIT_SECONDS", 0.3)
        shared = Memory(memory.SMALL_BYTES * 10)
        first, second = Held(shared), Held(shared)
        assert first.take(memory.SMALL_BYTES * 9)
        token = memory.current.set(second)
        try:
            with pytest.raises(Unavailable, match="Try again"):
                memory.charge(memory.SMALL_BYTES * 3)
            threading.Timer(0.1, first.release).start()
            memory.charge(memory.SMALL_BYTES * 3)
            with memory.charged(memory.SMALL_BYTES * 5):
                assert shared.used == memory.SMALL_BYTES * 8
            assert shared.used == memory.SMALL_BYTES * 3
        finally:
            memory.current.reset(token)

    def test_outside_of_a_request_nothing_is_charged(self) -> None:
        memory.charge(10**12)


@pytest.fixture
def wide(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """An API with 12 experiments of ten kilobytes each, and pages of fifty."""
    monkeypatch.setattr(pages, "PAGE_BYTES", 50_000)
    for number in range(12):
        body = {"name": f"wide-{number:02}", "parameters": {"p": "x" * 9_000}}
        assert api.post("/v1/experiments", json=body).status_code == 201
    return api


class TestLists:
    def test_a_page_ends_at_so_many_bytes_and_the_next_goes_on(self, wide: httpx.Client) -> None:
        asked: dict[str, str | int] = {"limit": 200, "sort": "name"}
        seen, pages_seen = [], 0
        while True:
            answer = wide.get("/v1/experiments", params=asked)
            seen += [item["name"] for item in answer.json()["items"]]
            pages_seen += 1
            assert len(answer.content) < 1.2 * pages.PAGE_BYTES
            if answer.json()["next"] is None:
                break
            asked["cursor"] = answer.json()["next"]
        assert seen == [f"wide-{number:02}" for number in range(12)]
        assert pages_seen == 3

    def test_in_the_product_it_is_a_mebibyte(self) -> None:
        assert pages.PAGE_BYTES == MEBIBYTE

    def test_a_row_that_is_larger_alone_is_a_page(
        self, wide: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "PAGE_BYTES", 1000)
        page = wide.get("/v1/experiments?limit=5&sort=name").json()
        assert [item["name"] for item in page["items"]] == ["wide-00"]
        assert page["next"]

    def test_small_ones_are_as_many_as_asked_for(self, api: httpx.Client) -> None:
        for number in range(7):
            api.post("/v1/experiments", json={"name": f"small-{number}"})
        first = api.get("/v1/experiments?limit=5").json()
        assert (len(first["items"]), first["total"]) == (5, 7)
        second = api.get("/v1/experiments", params={"limit": 5, "cursor": first["next"]}).json()
        assert (len(second["items"]), second["next"]) == (2, None)

    def test_an_empty_one_is_empty(self, api: httpx.Client) -> None:
        assert api.get("/v1/experiments").json() == {
            "items": [],
            "total": 0,
            "total_is_exact": True,
            "next": None,
        }


class TestSingleRequests:
    def test_curves_have_so_many_points(self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        assert experiments.MAX_NEW_POINTS == 250_000
        monkeypatch.setattr(experiments, "MAX_NEW_POINTS", 1000)
        half = {"steps": list(range(501)), "values": [0.5] * 501}
        answer = api.post(
            "/v1/experiments", json={"name": "long", "curves": {"loss": half, "accuracy": half}}
        )
        assert answer.status_code == 422
        assert "may have 1,000 points" in answer.json()["detail"]
        assert api.post("/v1/experiments", json={"name": "long", "curves": {"loss": half}}).status_code == 201

    @pytest.mark.parametrize("field", ["parameters", "tags"])
    def test_parameters_and_tags_have_so_many_characters(self, api: httpx.Client, field: str) -> None:
        large = {f"key-{number}": "x" * 9_999 for number in range(11)}
        answer = api.post("/v1/experiments", json={"name": "large", field: large})
        assert answer.status_code == 422
        assert "100,000 characters" in answer.json()["detail"]

    def test_many_curves_have_fewer_points_each(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("metadata_api.curves.MAX_POINTS", 400)
        curve = {"steps": list(range(1000)), "values": [float(step % 7) for step in range(1000)]}
        for name in ("one", "two", "three"):
            assert (
                api.post("/v1/experiments", json={"name": name, "curves": {"loss": curve}}).status_code == 201
            )
        names = "&".join(f"experiment={name}" for name in ("one", "two", "three"))
        found = api.get(f"/v1/curves?{names}&points=5000").json()["curves"]
        assert all(0 < len(each["steps"]) <= 140 for each in found)
        assert len(api.get("/v1/curves?experiment=one&points=5000").json()["curves"][0]["steps"]) <= 410


class TestAllTogether:
    @pytest.fixture
    def small(self, settings: Settings, engine: Engine, clean: None) -> Iterator[httpx.Client]:
        """An application in which all requests may hold two megabytes."""
        tight = settings.model_copy(update={"max": Max(memory_bytes=2 * MEBIBYTE)})
        with running(create_app(tight)) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield client

    def test_a_large_one_beside_another_gets_503_and_what_to_do(
        self, small: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory, "WAIT_SECONDS", 0.2)
        slow = threading.Event()

        def trickle() -> Iterator[bytes]:
            yield b'{"name": "first", "description": "' + b"x" * 300_000
            slow.wait(10)
            yield b'"}'

        with ThreadPoolExecutor(1) as pool:
            kind = {"content-type": "application/json"}
            first = pool.submit(small.post, "/v1/experiments", content=trickle(), headers=kind)
            time.sleep(0.3)
            second = small.post("/v1/experiments", content=b'{"a": "' + b"y" * 300_000 + b'"}', headers=kind)
            assert (second.status_code, second.json()["error"]) == (503, "busy")
            assert second.headers["retry-after"] == "1"
            v2 = small.post("/v2/repository/index", content=b" " * 900_000)
            assert (v2.status_code, v2.headers["retry-after"]) == (503, "1")
            assert small.get("/v1/experiments").status_code == 200, "small ones are let through"
            slow.set()
            assert first.result(20).status_code == 422
        assert (
            small.post(
                "/v1/experiments", content=b'{"a": "' + b"y" * 300_000 + b'"}', headers=kind
            ).status_code
            == 422
        )

    def test_nothing_stays_held(self, small: httpx.Client) -> None:
        for _ in range(12):
            small.post(
                "/v1/experiments", content=b"[" * 200_000, headers={"content-type": "application/json"}
            )
            small.post("/v1/predictions", files={"image": b"x" * 500_000})
        assert (
            small.post("/v1/experiments", json={"name": "a", "description": "z" * 9_000}).status_code == 201
        )


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
