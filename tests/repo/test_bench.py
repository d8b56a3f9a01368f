"""The benchmark reads wrk's report rightly and loads nothing but this machine."""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.bench import bench, goals, report, servers, soak, through_api, with_tokens
from tests.bench.parts import Parts
from tests.waiting import until

pytestmark = pytest.mark.bench
ROOT = Path(__file__).parents[2]
REPORT = """\
Running 5s test @ http://127.0.0.1:8080/v2/models/cnn/infer
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     6.54ms    1.31ms  20.00ms   80.00%
    Req/Sec     1.22k    87.00     1.40k    70.00%
  Latency Distribution
     50%  812.00us
     75%    7.10ms
     90%    8.00ms
     99%    1.25s
  6093 requests in 5.00s, 2.40MB read
{extra}Requests/sec:   1218.37
Transfer/sec:    491.52KB
"""


def test_units_become_milliseconds() -> None:
    assert bench.parse(REPORT.format(extra="")) == bench.Result(1218.37, 0.812, 1250.0, 0)


@pytest.mark.parametrize(
    ("extra", "errors"),
    [
        ("  Non-2xx or 3xx responses: 17\n", 17),
        ("  Socket errors: connect 1, read 2, write 3, timeout 4\n", 10),
    ],
)
def test_rejected_and_lost_requests_are_errors(extra: str, errors: int) -> None:
    assert bench.parse(REPORT.format(extra=extra)).errors == errors


def test_a_target_that_is_away_is_no_measurement() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        bench.parse("unable to connect to 127.0.0.1:9 Connection refused")


def test_the_table_shows_medians_and_marks_errors() -> None:
    rounds = [bench.Result(rate, 1.0, 2.0, errors) for rate, errors in ((100, 0), (300, 0), (120, 5))]
    shown = bench.table({"marina": {8: rounds}}).splitlines()
    assert "c=8" in shown[0]
    assert shown[1].split() == ["marina", "120", "1.00", "2.00", "5", "ERRORS"]


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/v2", "http://example.org/v2", "http://127.0.0.1.example.org/", "https://127.0.0.1/"],
)
def test_only_this_machine_is_loaded(url: str) -> None:
    arguments = argparse.Namespace(others=[f"other={url}"], model=["cnn"], serving="http://127.0.0.1:8080")
    with pytest.raises(SystemExit, match="not an address of this machine"):
        bench.targets(arguments)


def test_loopback_addresses_are_loaded() -> None:
    others = ["a=http://localhost:1/x", "b=http://[::1]:1/x"]
    arguments = argparse.Namespace(others=others, model=["cnn"], serving="http://127.0.0.1:8080")
    assert bench.targets(arguments)["cnn"] == "http://127.0.0.1:8080/v2/models/cnn/infer"


def test_the_load_ends_with_the_benchmark(tmp_path: Path) -> None:
    wrk, pid_file = tmp_path / "wrk", tmp_path / "pid"
    wrk.write_text(f"#!/bin/sh\necho $$ > {pid_file}.new && mv {pid_file}.new {pid_file}\nexec sleep 60\n")
    wrk.chmod(0o755)
    code = (
        "from pathlib import Path; from tests.bench import bench;"
        "bench.measure('http://127.0.0.1:1/', clients=1, seconds=60, request=Path('none'))"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment) as benchmark:
        until(lambda: pid_file.exists() or benchmark.poll() is not None, "the load begins")
        assert benchmark.poll() is None
        load = psutil.Process(int(pid_file.read_text()))
        benchmark.kill()
    load.wait(10)


class TestReport:
    def results(self) -> report.Results:
        results = report.Results(["marina native", "peer"])
        for rate in (100.0, 300.0, 120.0):
            results.add("marina native", "JSON", 1, report.Figures(rate, 1.0, 2.0, 0.5))
        results.add("peer", "JSON", 1, report.Figures(110.0, 0.9, 2.0, 0.5))
        results.add("marina native", "binary", 1, report.Figures(500.0, 1.0, 2.0, 0.5))
        results.add("peer", "binary", 1, None)
        results.add_memory("peer", 250_000_000)
        return results

    def document(self) -> str:
        return report.document(self.results(), {"peer": "peer 1.0"}, "2 cores", 0.1, ["--rounds", "3"], {})

    def test_medians_of_all_rounds_are_shown(self) -> None:
        assert "| marina native | 120 | 1.00 | 2.00 |" in self.document()

    def test_a_peer_that_is_better_is_named(self) -> None:
        lines = self.document().partition("## Where a peer is better")[2].splitlines()
        assert [line for line in lines if line.startswith("- ")] == [
            "- JSON, 1 clients: peer has 110 requests/s at 0.90 ms, marina native 120 at 1.00 ms."
        ]

    def test_what_a_server_does_not_take_is_no_figure(self) -> None:
        assert "| peer | – | – | – |" in self.document()

    def test_rejected_requests_are_shown(self) -> None:
        results = self.results()
        results.add("peer", "binary", 1, report.Figures(50.0, 1.0, 2.0, 0.5, 0.25))
        assert "| peer | 50 (25% rejected) |" in report.document(results, {}, "2 cores", 0.1, [], {})

    def test_memory_is_in_the_document(self) -> None:
        assert "| peer | 250 | 0.50 |" in self.document()

    def test_further_sections_follow_and_empty_ones_do_not(self) -> None:
        text = report.document(self.results(), {}, "2 cores", 0.1, [], {"Goals": ["all"], "None": []})
        assert "## Goals\n\nall\n" in text
        assert "## None" not in text


class TestGoals:
    MODEL = Parts([], one_ms=0.5, rate=800.0)

    def results(self) -> report.Results:
        results = report.Results(["marina native", "marina torchserve", "slow", "fast", "starlette"])
        for name, rate, p50 in (
            ("marina native", 700.0, 0.9),
            ("slow", 100.0, 4.0),
            ("fast", 200.0, 2.0),
            ("starlette", 9000.0, 0.1),
        ):
            for clients in (1, 32):
                results.add(name, goals.JSON, clients, report.Figures(rate, p50, 5.0, 0.5))
        results.add("marina native", goals.BINARY, 32, report.Figures(910.0, 1.0, 2.0, 0.5))
        return results

    def test_each_is_the_ratio_to_the_best_product_or_to_our_own_json(self) -> None:
        lines = [line for line in goals.table(self.results(), self.MODEL) if line.startswith("| marina")]
        assert lines == [
            "| marina native | requests/s of 32 JSON clients, best peer = 1 | at least 3.5 | 3.50 | yes | 4.00 |",
            "| marina native | p50 of one JSON client, best peer = 1 | at most 0.45 | 0.45 | yes | 0.25 |",
            "| marina native | requests/s of 32 binary clients, own JSON = 1 | at least 1.5 | 1.30 | no | 1.14 |",
        ]

    def test_a_run_without_their_figures_has_none(self) -> None:
        assert goals.table(report.Results(["marina native"]), self.MODEL) == []


class TestThroughApi:
    def table(self, *through: float, errors: int = 0) -> list[str]:
        found = through_api.Comparison()
        for p50 in through:
            pair = through_api.Pair(
                bench.Result(500.0, 2.0, 9.0, 0), bench.Result(400.0, p50, 9.0, errors), 0.4, 0.5
            )
            found.add("marina native", 32, pair)
        found.add_memory("marina native", 60_000_000, 130_000_000)
        return found.table()

    def test_the_median_of_the_ratios_decides(self) -> None:
        lines = self.table(2.8, 9.0, 2.0)
        assert "| marina native | 32 | 2.00 | 2.80 | 1.40 | yes | 500 | 400 | 0.80 | 0.40 | 0.50 |" in lines
        assert "| marina native | 60 | 130 |" in lines
        assert "at most 1.4 times" in lines[0]

    def test_more_than_the_limit_and_errors_are_not_reached(self) -> None:
        assert any("| 1.45 | no |" in line for line in self.table(2.9))
        assert any("(3 errors)" in line and "| 1.00 | no |" in line for line in self.table(2.0, errors=3))

    def test_a_run_without_it_has_no_table(self) -> None:
        assert through_api.Comparison().table() == []


class TestWithTokens:
    def table(self, *p50: float, rate: float = 500.0, errors: int = 0) -> list[str]:
        found = with_tokens.Comparison()
        for each in p50:
            pair = (bench.Result(500.0, 2.0, 9.0, 0), bench.Result(rate, each, 9.0, errors))
            found.add("marina native", 32, pair)
        return found.table()

    def test_the_median_of_the_ratios_decides(self) -> None:
        line = "| marina native | 32 | 2.00 | 2.04 | 1.020 | 500 | 500 | 1.000 | yes |"
        assert line in self.table(2.04, 9.0, 2.0)

    def test_more_latency_fewer_requests_and_errors_are_not_reached(self) -> None:
        assert self.table(2.05)[-1].endswith("| no |")
        assert self.table(2.0, rate=489.0)[-1].endswith("| no |")
        assert self.table(2.0, errors=1)[-1].endswith("| no |")

    def test_a_run_without_it_has_no_table(self) -> None:
        assert with_tokens.Comparison().table() == []


class TestSoak:
    RESULT = bench.Result(1000.0, 1.0, 2.0, 0)

    def test_memory_that_stays_is_no_fault_whatever_the_warm_up_took(self) -> None:
        summary, faults = soak.verdict("marina native", [200.0, 280.0, *[300.0] * 18], self.RESULT)
        assert "300.0 MB warm, 300.0 MB at the end (+0.00%)" in summary
        assert faults == []

    def test_memory_that_grows_is_a_fault(self) -> None:
        _, faults = soak.verdict("marina native", [300.0 + step for step in range(100)], self.RESULT)
        assert faults == ["marina native: its memory grew by 18.2%"]

    def test_a_lost_answer_is_a_fault(self) -> None:
        _, faults = soak.verdict("x", [300.0] * 20, bench.Result(1000.0, 1.0, 2.0, 3))
        assert faults == ["x: 3 answers were no 200"]


class TestMemory:
    SIZE = 20_000_000
    # Maps a file and reads all of it, forks if asked to, and waits.
    CODE = """
import mmap, os, sys
with open(sys.argv[1], "rb") as file:
    held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
held.find(b"x")
if sys.argv[2] == "two" and not os.fork():
    held.find(b"x")
os.write(1, b"ready\\n")
sys.stdin.read()
"""

    @contextlib.contextmanager
    def reader(self, file: Path, count: str) -> Iterator[servers.Running]:
        command = [sys.executable, "-c", self.CODE, str(file), count]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            for _ in range(2 if count == "two" else 1):
                assert process.stdout.readline() == b"ready\n"
            yield servers.Running("", psutil.Process(process.pid))
            process.communicate(timeout=10)

    def test_what_relatives_share_counts_once_and_strangers_change_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "weights"
        file.write_bytes(bytes(self.SIZE))
        with self.reader(file, "two") as family:
            alone = family.memory()
            with self.reader(file, "one"):
                beside = family.memory()
        assert self.SIZE < alone < 2 * self.SIZE
        assert abs(beside - alone) < 500_000

    def test_libraries_are_read_anew_for_each_server(self) -> None:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # a disk, which /tmp may not be
            library = Path(folder) / "lib.so.1"
            library.write_bytes(bytes(self.SIZE))
            with open(library, "rb") as file:
                os.fsync(file.fileno())
                assert self.in_memory(file)
                servers.read_anew(Path(folder))
                assert not self.in_memory(file)

    @staticmethod
    def in_memory(file: IO[bytes]) -> bool:
        """Whether a file's first page can be read without its disk."""
        try:
            return os.preadv(file.fileno(), [bytearray(4096)], 0, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False
