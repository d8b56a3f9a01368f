"""Experiments that log from a training loop, against the real API: by `with`, exceptions, Ctrl-C, from workers."""

import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import marina as library
from marina.errors import Failure, WrongUse
from marina.sender import Sender
from tests.conftest import ROOT
from tests.marina.conftest import Marina
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture(autouse=True)
def _quickly(at_home: Marina, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the machine of the running system, with a short pause between batches."""
    monkeypatch.setattr("marina.sender.PERIOD_SECONDS", 0.05)


def shown(api: httpx.Client, name: str = "net") -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/experiments/{name}").raise_for_status().json()
    return found


def curve(api: httpx.Client, metric: str = "loss", name: str = "net") -> dict[int, float | None]:
    query: dict[str, str | int] = {"experiment": name, "metric": metric, "points": 5000}
    found = api.get("/v1/curves", params=query).raise_for_status().json()["curves"][0]
    return dict(zip(found["steps"], found["values"], strict=True))


def script(home: Path, text: str, **options: Any) -> subprocess.Popen[bytes]:
    """Training code as a program of its own."""
    variables = {**os.environ, "MARINA_HOME": str(home), "PYTHONPATH": str(ROOT / "models" / "marina")}
    return subprocess.Popen([sys.executable, "-c", text], env=variables, cwd=home, **options)


class TestARun:
    def test_it_is_created_logged_to_and_finished(self, api: httpx.Client) -> None:
        began = time.time()
        with library.experiment("net", parameters={"lr": 0.1, "layers": [8, 8]}, tags={"team": "a"}) as run:
            for step in range(100):
                run.log(step, loss=1 / (step + 1), **{"val/accuracy": step / 100})
            until(lambda: shown_or_none(api) == "running", "it runs")
            run.change(notes="looks good", parameters={"seed": 7})
        found = shown(api)
        assert (found["state"], found["notes"]) == ("finished", "looks good")
        assert found["ended_at"] is not None
        assert found["parameters"] == {"lr": 0.1, "layers": "[8, 8]", "seed": 7}
        assert curve(api) == {step: 1 / (step + 1) for step in range(100)}
        assert found["metrics"]["val/accuracy"]["best"] == 0.99
        times = api.get("/v1/curves?experiment=net&x=time").json()["curves"][0]["times"]
        assert began <= times[0] <= times[-1] <= time.time()
        assert run.dropped == 0

    def test_the_same_name_goes_on_with_the_same_experiment(self, api: httpx.Client) -> None:
        for values in ([3, 2], [1.5, 1]):
            with library.experiment("net", parameters={"tries": len(values)}) as run:
                for step, value in enumerate(values, 1):
                    run.log(step, loss=value)
        assert curve(api) == {1: 1.5, 2: 1}
        assert shown(api)["state"] == "finished"

    def test_what_is_no_number_is_counted_and_said_and_the_training_goes_on(
        self, api: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        with library.experiment("net") as run:
            run.log(1, loss="high", accuracy=0.5)  # type: ignore[arg-type]
            run.log(1.5, loss=1)  # type: ignore[arg-type]
            run.log(2, loss=math.nan)
            run.log(3, {"odd name!": 1})
        assert run.dropped == 2
        assert "loss is not logged" in caplog.text
        assert curve(api) == {2: None}
        assert curve(api, "odd_name_") == {3: 1}

    def test_names_of_any_script_stay_readable_and_apart(self, api: httpx.Client) -> None:
        names = ("точность", "损失", "損失", "न्याय", "e\u0301cart", "🙂", "🙁", "1st")
        with library.experiment("net", key_metric="точность") as run:
            run.log(1, {name: float(number) for number, name in enumerate(names)})
        found = shown(api)
        kept = ("точность", "损失", "損失", "न्याय", "\u00e9cart", "m__u1f642_", "m__u1f641_", "m_1st")
        assert {name: found["metrics"][name]["best"] for name in kept} == dict(
            zip(kept, range(8), strict=True)
        )
        assert found["key_metric"] == "точность"
        listed = api.get("/v1/experiments", params={"filter": 'metrics.точность = 0 and metrics."न्याय" = 3'})
        assert [item["name"] for item in listed.json()["items"]] == ["net"]
        assert curve(api, "e\u0301cart") == {1: 4.0}

    def test_names_and_texts_that_the_api_would_reject_lose_nothing(self, api: httpx.Client) -> None:
        path = os.fsdecode(b"data/\xff.csv")
        said = {"display_name": path, "directions": {"my loss": "max"}, "key_metric": "my loss"}
        with library.experiment("net", parameters={"path": path, path: 1}, **said) as run:  # type: ignore[arg-type]
            run.log(1, {"my loss": 2.0})
            run.change(notes=path + "\0")
        assert run.dropped == 0
        found = shown(api)
        assert found["metrics"]["my_loss"]["direction"] == "max"
        assert (found["key_metric"], found["notes"]) == ("my_loss", "data/?.csv")
        assert found["parameters"] == {"path": "data/?.csv", "data/?.csv": 1}

    def test_an_exception_makes_it_failed_and_goes_on(self, api: httpx.Client) -> None:
        def train() -> None:
            with library.experiment("net") as run:
                for step in (1, 0):
                    run.log(step, loss=1 / step)

        with pytest.raises(ZeroDivisionError):
            train()
        assert (shown(api)["state"], curve(api)) == ("failed", {1: 1.0})

    def test_whoever_asks_for_it_gets_exceptions(
        self, api: httpx.Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        run = library.experiment("net", strict=True)
        with pytest.raises(ValueError):
            run.log(1, loss="high")  # type: ignore[arg-type]
        until(lambda: shown_or_none(api), "it is created")
        api.patch("/v1/experiments/net", json={"state": "stopped"}).raise_for_status()
        with pytest.raises(Failure, match="takes no points"):
            until(lambda: run.log(2, loss=1), "the rejection is raised", 10)
        with pytest.raises(Failure):
            run.finish()

    def test_a_name_that_is_none_is_said_before_the_training_begins(self) -> None:
        with pytest.raises(WrongUse, match="my-net-3"):
            library.experiment("My Net")

    def test_no_marina_at_all_is_said_before_the_training_begins(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("MARINA_HOME", str(tmp_path / "none"))
        with pytest.raises(WrongUse, match="MARINA_URL"):
            library.experiment("net")


class TestWithoutTheApi:
    def test_training_goes_on_and_what_is_lost_is_counted(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("marina.run.EXIT_SECONDS", 0.5)
        run = library.experiment("net", url=f"http://127.0.0.1:{free_port()}")
        begin = time.monotonic()
        for step in range(1000):
            run.log(step, loss=1.0)
        assert time.monotonic() - begin < 1, "nobody waits for the network"
        run.finish(seconds=0.5)
        assert run.dropped == 1000
        assert "1,000 points are lost in all" in caplog.text

    def test_memory_is_bounded_and_the_oldest_points_go(self, api: httpx.Client, caplog: Any) -> None:
        run = library.experiment("net")
        sender: Sender = run._sender
        monkeypatched = sender._connect
        sender._connect = lambda: pytest.fail("not yet")
        sender._capacity = 10
        with sender._sending:
            for step in range(25):
                run.log(step, loss=step)
            sender._connect = monkeypatched
        run.finish()
        assert run.dropped == 15
        assert sorted(curve(api)) == list(range(15, 25))


class TestPrograms:
    def test_ctrl_c_makes_it_stopped(self, api: httpx.Client, home: Path) -> None:
        text = (
            "import marina, signal, time\n"
            # As in a terminal: where the tests run in the background, children would ignore it.
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "with marina.experiment('net') as run:\n"
            "    run.log(1, loss=0.5)\n"
            "    print('go', flush=True)\n"
            "    time.sleep(60)\n"
        )
        with script(home, text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"go\n"
            process.send_signal(signal.SIGINT)
            process.wait(30)
        assert (shown(api)["state"], curve(api)) == ("stopped", {1: 0.5})

    @pytest.mark.parametrize(("end", "state"), [("", "finished"), ("1 / 0", "failed")])
    def test_without_with_its_end_is_that_of_the_program(
        self, api: httpx.Client, home: Path, end: str, state: str
    ) -> None:
        text = f"import marina\nrun = marina.experiment('net')\nrun.log(1, loss=0.5)\n{end}\n"
        with script(home, text, stderr=subprocess.DEVNULL) as process:
            process.wait(30)
        assert (shown(api)["state"], curve(api)) == (state, {1: 0.5})

    def test_workers_forked_and_spawned_log_to_it_and_do_not_end_it(
        self, api: httpx.Client, home: Path
    ) -> None:
        text = (
            "import marina, multiprocessing, os, sys\n"
            "def work(run, step):\n"
            "    run.log(step, loss=step)\n"
            "if __name__ == '__main__':\n"
            "    with marina.experiment('net') as run:\n"
            "        run.log(0, loss=0)\n"
            "        for step, method in enumerate(('fork', 'spawn', 'fork'), 1):\n"
            "            worker = multiprocessing.get_context(method).Process(target=work, args=(run, step))\n"
            "            worker.start()\n"
            "            worker.join(20)\n"
            "            assert worker.exitcode == 0, worker.exitcode\n"
            "        run.log(4, loss=4)\n"
        )
        program = home / "train.py"
        program.write_text(text)
        with script(home, f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')") as process:
            assert process.wait(60) == 0
        assert curve(api) == {step: step for step in range(5)}
        assert shown(api)["state"] == "finished"

    def test_the_library_needs_httpx_alone(self, api: httpx.Client, home: Path) -> None:
        others = ("rich", "typer", "numpy", "torch", "yaml", "tensorboard", "serving_runtime")
        text = (
            f"import sys\nsys.modules.update(dict.fromkeys({others}))\n"
            "import marina\nwith marina.experiment('net') as run:\n    run.log(1, loss=0.5)\n"
        )
        with script(home, text) as process:
            assert process.wait(30) == 0
        assert curve(api) == {1: 0.5}


def test_a_run_in_another_process_is_the_same_run(api: httpx.Client) -> None:
    run = library.experiment("net")
    until(lambda: shown_or_none(api), "it is created")
    other = pickle.loads(pickle.dumps(run))
    other.log(1, loss=1)
    other.finish()
    assert (shown(api)["state"], curve(api)) == ("running", {1: 1})
    run.finish()
    assert shown(api)["state"] == "finished"


def test_the_lines_of_the_readme_do_the_same(api: httpx.Client, home: Path, tmp_path: Path) -> None:
    """As printed, but for the port: the variables, and httpx alone from the training loop."""
    readme = (ROOT / "README.md").read_text()
    exports = readme.split("<!-- the API and the token of a training loop -->\n```sh\n")[1].split("```")[0]
    text = readme.split("<!-- a training loop -->\n```python\n")[1].split("```")[0]
    [command] = re.findall(r"run them with `(.+)`", readme)
    assert len(text.strip().splitlines()) <= 12
    (tmp_path / "loop.py").write_text(text)
    (tmp_path / ".marina").symlink_to(home)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    address = json.loads((home / "run" / "launcher.lock").read_text())["api"]
    script = f"{exports.replace('http://127.0.0.1:8000', address)}{command}"
    own = {key: value for key, value in os.environ.items() if not key.startswith("MARINA_")}
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=own, check=True, timeout=60)
    found = shown(api, "by-hand")
    assert (found["state"], found["metrics"]["loss"]["points"]) == ("finished", 100)


def shown_or_none(api: httpx.Client) -> Any:
    """Its state once it is there."""
    answer = api.get("/v1/experiments/net")
    return answer.json()["state"] if answer.status_code == 200 else None
