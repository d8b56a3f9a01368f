"""What a handler prints, logs and raises is in one log for each model, in both runtimes; a flood of it harms nobody."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from serving_runtime.contracts import RUNTIMES
from serving_runtime.protocol.output import mark, unmark
from tests.waiting import until

from .. import archives
from ..conftest import Front, body_of
from .test_runtimes import GOLDEN

LOG_BYTES = 64 * 1024
LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z v(\d+)( \[[^\]]*\])? (.*)$", re.MULTILINE)
# What the model does when the first pixel is 200 and more, beside answering.
SPEAKS = """
import logging, subprocess, sys, warnings

def speak(first):
    if first == 200:
        print("printed")
        print("without a newline", end="")
        print(", and its end")
        sys.stderr.write("to stderr\\n")
        logging.getLogger("mine").info("logged")
        warnings.warn("warned")
        subprocess.run(["echo", "by a child"])
    if first == 201:
        raise KeyError("raised")
    if first == 202:
        print("\\x1b[31mred\\x1b[0m", "long " * 10000)
    if first == 203:
        import ctypes
        ctypes.string_at(0)
"""


@pytest.fixture(scope="module", params=RUNTIMES)
def talking(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front with logs of 64 KiB, a model `talking`, and a quiet one."""
    folder = tmp_path_factory.mktemp(f"talking-{request.param}")
    settings = {"SERVING_LOG_DIR": str(folder / "logs"), "SERVING_LOG_BYTES": str(LOG_BYTES)}
    running = Front(folder / "front", request.param, **settings)
    try:
        archives.summing(folder / "quiet.mar")
        archives.summing(
            folder / "talking.mar",
            name="talking",
            extra=SPEAKS,
            on_load="print('loaded')",
            each_call="speak(inputs['image'].flat[0])",
        )
        for name in ("quiet", "talking"):
            running.want(name, "7", folder / f"{name}.mar")
        for name in ("quiet", "talking"):
            running.wait_until(name, state="ready")
        yield running
    finally:
        running.stop()


def folder_of(front: Front) -> Path:
    return front.folder.parent / "logs"


def log(front: Front, name: str = "talking") -> str:
    path = folder_of(front) / f"{name}.log"
    return path.read_text() if path.exists() else ""


def lines(front: Front, name: str = "talking") -> list[tuple[str, str, str]]:
    """(version, requests, text) of every line."""
    text = log(front, name)
    found = LINE.findall(text)
    assert len(found) == text.count("\n"), text
    return [(version, requests.strip(" []"), rest) for version, requests, rest in found]


def written(front: Front, *texts: str) -> list[tuple[str, str, str]]:
    """All lines, once each of these texts is a line."""
    until(lambda: set(texts) <= {each[2] for each in lines(front)}, lambda: log(front), 10)
    return lines(front)


def test_what_is_printed_and_logged_at_load_and_later_is_there_with_version_and_request(
    talking: Front,
) -> None:
    body = body_of([200, 0, 0, 0, 0, 0], id="order-7")
    assert talking.client.post("/v2/models/talking/infer", content=body).status_code == 200
    expected = (
        "loaded",
        "printed",
        "without a newline, and its end",
        "to stderr",
        "INFO mine: logged",
        "by a child",
    )
    found = written(talking, *expected)
    assert {each[0] for each in found} == {"7"}
    assert any(each[2].endswith("UserWarning: warned") for each in found)
    by_text = {text: requests for _, requests, text in found}
    assert by_text["printed"] == by_text["INFO mine: logged"] == "order-7"
    assert by_text["without a newline, and its end"] == "order-7"
    assert by_text["loaded"] == ""


def test_an_error_is_there_with_file_and_line_and_the_client_gets_its_text_alone(talking: Front) -> None:
    answer = talking.infer("talking", [201, 0, 0, 0, 0, 0])
    assert (answer.status_code, answer.json()["error"]) == (502, "KeyError: 'raised'")
    texts = [each[2] for each in written(talking, "KeyError: 'raised'")]
    at = texts.index("KeyError: 'raised'")
    trace = texts[at - 5 : at + 1]
    assert any(re.search(r'handler\.py", line \d+, in speak', text) for text in trace), trace
    assert not any("serving_runtime" in text for text in trace)


def test_a_line_is_one_line_of_text_of_bounded_length(talking: Front) -> None:
    talking.infer("talking", [202, 0, 0, 0, 0, 0])
    until(lambda: "[31mred" in log(talking), lambda: log(talking), 10)
    (found,) = [each[2] for each in lines(talking) if "[31mred" in each[2]]
    assert found.startswith("\\x1b[31mred\\x1b[0m long")
    assert len(found) < 10_000


def test_a_crash_says_where(talking: Front) -> None:
    talking.infer("talking", [203, 0, 0, 0, 0, 0])
    talking.wait_until("talking", state="ready", seconds=30)
    found = "\n".join(each[2] for each in written(talking, "Fatal Python error: Segmentation fault"))
    assert re.search(r'handler\.py", line \d+ in speak', found)
    assert "it is being replaced" in found


def test_why_a_model_cannot_be_loaded_is_there_with_file_and_line(talking: Front) -> None:
    path = talking.folder.parent / "broken.mar"
    archives.summing(path, name="broken", on_load="int('no number')")
    talking.want("broken", "1", path)
    talking.wait_until("broken", state="failed")
    until(lambda: "cannot be served" in log(talking, "broken"), "the reason is written", 10)
    texts = [each[2] for each in lines(talking, "broken")]
    talking.want_no_more("broken")
    assert "Traceback (most recent call last):" in texts
    assert any(re.search(r'handler\.py", line \d+, in initialize', text) for text in texts)


@pytest.mark.parametrize(
    "flood",
    ["subprocess.Popen(['yes', 'x' * 60])", "threading.Thread(target=shout, daemon=True).start()"],
    ids=["of a child", "of a thread"],
)
def test_a_flood_slows_no_other_and_fills_no_disk(talking: Front, flood: str) -> None:
    path = talking.folder.parent / "flooding.mar"
    extra = "import subprocess, threading\ndef shout():\n    while True: print('x' * 60)\n"
    archives.summing(path, name="flooding", extra=extra, on_load=flood)
    talking.want("flooding", "1", path)
    try:
        talking.wait_until("flooding", state="ready")
        front = psutil.Process(talking.process.pid)
        before, began = sum(front.cpu_times()[:2]), time.monotonic()
        slowest = max(_seconds(lambda: talking.infer("quiet", GOLDEN)) for _ in range(100))
        until(lambda: "lines are left out" in log(talking, "flooding"), "lines are left out", 20)
        spent = (sum(front.cpu_times()[:2]) - before) / (time.monotonic() - began)
        kept = sum(each.stat().st_size for each in folder_of(talking).glob("flooding.log*"))
    finally:
        talking.want_no_more("flooding")
    until(lambda: not talking.status("flooding"), "it is gone", 30)
    assert slowest < 1
    assert kept < 2 * LOG_BYTES + 1024 * 1024
    print(f"slowest answer {slowest * 1000:.0f} ms, {spent:.0%} of a core, {kept} bytes")
    assert spent < 0.5


def _seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def test_without_a_folder_the_lines_go_to_standard_output(front: Front) -> None:
    assert re.search(r"Z v1 is ready$", front.log.read_text(), re.MULTILINE)


class TestMarks:
    def test_a_line_says_which_requests_it_belongs_to(self) -> None:
        assert mark([None, "", None]) == b""
        assert unmark(mark(["a", None, "b c\n"]) + b"text") == (b"a,b_c_", b"text")
        assert unmark(b"text") == (b"", b"text")

    def test_of_many_requests_some_are_named(self) -> None:
        names, _ = unmark(mark([f"{at}" * 100 for at in range(20)]))
        assert names.endswith(b",+12")
        assert len(names) < 600
