"""What handlers do in either runtime, seen by clients of the front: statuses, headers, long answers, odd names."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from serving_runtime.archive import mar
from serving_runtime.protocol import frames

from .. import stock
from ..conftest import Front
from .test_native import ask, bodies, remove, settled

FUNCTION = "def handle(data, context):\n    if data is None:\n        return None\n"
BAD = FUNCTION + (
    "    for at, row in enumerate(data):\n"
    "        if row['body'] == b'bad':\n"
    "            context.set_response_status(418, 'too bad', at)\n"
    "    return ['x' * int(row['body']) if row['body'].isdigit() else row['body'].decode() for row in data]\n"
)
CONTEXT = (
    "import json\n"
    + FUNCTION
    + (
        "    for at, row in enumerate(data):\n"
        "        context.set_response_content_type(at, 'application/json')\n"
        "        context.set_response_header(at, 'X-Handler-Rows', str(len(data)))\n"
        "        context.set_response_header(at, 'Set-Cookie', 'a=b')\n"
        "    context.metrics.add_counter('Rows', len(data))\n"
        "    return [json.dumps([context.request_ids[at], context.get_all_request_header(at),\n"
        "                        context.system_properties, context.model_yaml_config, context.manifest['model']])\n"
        "            for at in range(len(data))]\n"
    )
)

Serve = Callable[..., str]


@pytest.fixture
def serve(front: Front) -> Iterator[Serve]:
    """Serve a handler under a name; all are removed at the end."""
    served: list[str] = []

    def start(name: str, source: str, build: Callable[[Path], Any] | None = None) -> str:
        archive = front.folder / f"{name}.mar"
        (build or (lambda path: stock.crafted(path, source)))(archive)
        front.want(name, "1", archive)
        served.append(name)
        return name

    yield start
    for name in served:
        remove(front, name)


def with_config(path: Path) -> None:
    """An archive with a configuration file."""
    files: dict[str, bytes | Path] = {
        "handler.py": CONTEXT.encode(),
        "model-config.yaml": b"batchSize: 5\nmaxBatchDelay: 20\nmaxWorkers: 4\nhandler: {level: 3}\n",
    }
    mar.build(
        path,
        name="ctx",
        handler="handler.py",
        serialized_file=None,
        files=files,
        config_file="model-config.yaml",
    )


def results(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return list(answer.json()["outputs"][0]["data"])


class TestStatus:
    def test_of_one_request_is_no_ones_else_and_replaces_nothing(self, front: Front, serve: Serve) -> None:
        name = serve("status", BAD)
        before = front.wait_until(name, state="ready")
        statuses = _while_one_is_bad(front, name, count=40)
        assert statuses == {"good": {200}, "bad": {418}}
        bad = ask(front, name, bodies("good", "bad"))
        assert bad.status_code == 418
        assert bad.json() == {"error": "row 1: too bad: bad", "code": "handler_status"}
        assert front.status(name)["processes"] == before["processes"]

    @pytest.mark.long
    def test_a_client_that_repeats_its_bad_request_costs_the_others_nothing(
        self, front: Front, serve: Serve
    ) -> None:
        name = serve("repeated", BAD)
        before = front.wait_until(name, state="ready")
        assert _while_one_is_bad(front, name, count=1000) == {"good": {200}, "bad": {418}}
        assert front.status(name)["processes"] == before["processes"]


class TestLongAnswers:
    MOST = frames.MAX_ANSWER_BYTES - 1000

    def test_pass_and_fail_alone_above_the_limit(self, front: Front, serve: Serve) -> None:
        name = serve("long", BAD)
        before = front.wait_until(name, state="ready")
        assert len(results(ask(front, name, bodies("4000000")))[0]) == 4_000_000
        answer = ask(front, name, bodies(str(frames.MAX_ANSWER_BYTES)))
        assert answer.status_code == 502
        assert f"at most {frames.MAX_ANSWER_BYTES:,}" in answer.json()["error"]
        assert results(ask(front, name, bodies("2"))) == ["xx"]
        assert front.status(name)["processes"] == before["processes"]

    @pytest.mark.long
    def test_pass_up_to_the_limit_also_when_they_do_not_fit_together(
        self, new_front: Callable[..., Front]
    ) -> None:
        front = new_front(SERVING_DEADLINE_SECONDS="60")
        stock.crafted(front.folder / "long.mar", BAD)
        front.want("long", "1", front.folder / "long.mar")
        before = front.wait_until("long", state="ready")
        lengths: list[int] = []

        def one() -> None:
            lengths.extend(map(len, results(ask(front, "long", bodies(str(self.MOST))))))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert lengths == [self.MOST] * 4
        assert ask(front, "long", bodies("100000000")).status_code == 502
        assert front.status("long")["processes"] == before["processes"]


class TestContext:
    def test_tells_of_each_row_what_torchserve_promises(self, front: Front, serve: Serve) -> None:
        name = serve("ctx", "", with_config)
        status = front.wait_until(name, state="ready")
        assert status["not_honoured"] == [
            "maxWorkers: each deployment has one worker in each replica; set its replicas instead"
        ]
        headers = {
            "Authorization": "Bearer secret",
            "Cookie": "session=secret",
            "X-Api-Key": "secret",
            "X-Handler-Part": "left",
            "X-Request-Id": "r-7",
        }
        body = orjson.dumps({"id": "mine", "inputs": [bodies("a", "b", "c")]})
        answer = front.client.post(f"/v2/models/{name}/infer", content=body, headers=headers)
        rows = [orjson.loads(row) for row in results(answer)]
        assert len(rows) == 3
        for number, given, system, config, model in rows:
            assert number == "mine"
            assert (given["x-handler-part"], given["x-request-id"]) == ("left", "r-7")
            assert "secret" not in str(given)
            assert system["batch_size"] == 5
            assert config == {"batchSize": 5, "maxBatchDelay": 20, "maxWorkers": 4, "handler": {"level": 3}}
            assert model["handler"] == "handler.py"
        assert answer.json()["parameters"] == {"media_type": "application/json"}
        assert answer.headers["x-handler-rows"] == "3"
        assert "set-cookie" not in answer.headers
        series = f'dimensions="",model="{name}",name="Rows",unit="count",version="1"'
        assert f"marina_handler_counter_total{{{series}}} 3.0" in front.client.get("/metrics").text
        settings = front.client.get(f"/v2/models/{name}/config").json()
        assert settings["max_batch_size"] == 5
        assert settings["dynamic_batching"] == {"max_queue_delay_microseconds": 20_000}

    def test_batches_of_a_deployment_win_over_those_of_its_archive(self, front: Front, serve: Serve) -> None:
        name = serve("ctx", "", with_config)
        archive = front.folder / "ctx.mar"
        front.want(name, "2", archive, options={"batch_size": 2, "batch_delay_ms": 0})
        front.wait_until(name, state="ready", live_version="2")
        body = orjson.dumps({"inputs": [bodies("a", "b", "c")]})
        answer = front.client.post(f"/v2/models/{name}/infer", content=body)
        rows = [orjson.loads(row) for row in results(answer)]
        assert [system["batch_size"] for _, _, system, _, _ in rows] == [2, 2, 2]
        assert rows[0][3]["batchSize"] == 5, "the handler sees its own file as it is"
        assert answer.headers["x-handler-rows"] == "2, 1", "no call has more"
        settings = front.client.get(f"/v2/models/{name}/config").json()
        assert (settings["max_batch_size"], settings["dynamic_batching"]) == (2, {})


class TestNames:
    def test_of_files_may_be_none_that_python_imports(self, front: Front, serve: Serve) -> None:
        def build(path: Path) -> None:
            source = FUNCTION + "    return [open('größe.txt', encoding='utf-8').read()] * len(data)\n"
            files: dict[str, bytes | Path] = {"01-handler.py": source.encode(), "größe.txt": "groß".encode()}
            mar.build(path, name="named", handler="01-handler.py", serialized_file=None, files=files)

        name = serve("named", "", build)
        assert settled(front, name)["reason"] is None
        assert results(ask(front, name, bodies("a", "b"))) == ["groß", "groß"]


class TestUnservable:
    def test_is_rejected_at_load_with_the_reason(self, front: Front, serve: Serve) -> None:
        source = FUNCTION + "    context.cl_socket.sendall(b'')\n    return ['x'] * len(data)\n"
        name = serve("writes", source)
        reason = front.wait_until(name, state="failed", seconds=30)["reason"]
        assert "context.cl_socket: streamed answers are not offered" in reason


def _while_one_is_bad(front: Front, name: str, count: int) -> dict[str, set[int]]:
    """The statuses of `count` good requests, and of those that another client repeats as fast as it can meanwhile."""
    seen: dict[str, set[int]] = {"good": set(), "bad": set()}
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            seen["bad"].add(ask(front, name, bodies("bad")).status_code)

    threads = [threading.Thread(target=repeat) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count):
            seen["good"].add(ask(front, name, bodies("good")).status_code)
    finally:
        done.set()
        for thread in threads:
            thread.join(30)
    return seen
