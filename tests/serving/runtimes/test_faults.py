"""Every fault of `make faults` a few times: what clients see, and how soon the model answers again."""

import pytest

from serving_runtime.contracts import RUNTIMES
from tests.bench import faults, faults_report
from tests.bench.victims import FAULTS

pytestmark = [pytest.mark.long, pytest.mark.parametrize("runtime", RUNTIMES)]


@pytest.mark.timeout(600)
def test_under_load_what_is_killed_stopped_or_hangs_is_replaced_in_time(runtime: str) -> None:
    rows = faults.rows(runtime, rounds=3)
    assert {row.fault.what for row in rows} == {each.what for each in FAULTS if runtime in each.runtimes}
    assert {faults_report.line(row): row.problems for row in rows if row.problems} == {}


def test_a_killed_front_takes_its_processes_with_it(runtime: str) -> None:
    (end,) = faults.ends(runtime, 1)
    assert end.family >= 3
    assert end.left == 0
