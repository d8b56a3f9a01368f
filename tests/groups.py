"""How the tests are spread over the processes of a run: which go together, which begin first, and which run alone.

A group is what one process does in a row. Tests that share something that takes seconds to start are a group, so that
it starts once: the running system, the fronts of both runtimes, those of the conformance suite, the UI. All others are
grouped by file, or by class where a file takes long. What takes longest begins first, so that all end at once.
Tests marked `clock` come last, in the process that has the running system, once all other processes have ended.
The groups of `SYSTEM` are the tier of that name, which has a target of its own: `make test-system`.
"""

import fcntl
import os
from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.waiting import until

RUNTIMES = "tests/serving/runtimes/test_runtimes.py"
NATIVE = "tests/serving/runtimes/test_native.py"
STACK = "stack"
CLOCK = "clock"
OTHERS_SECONDS = 600.0
# How the ids of a group's tests begin -> the group. The first that fits counts.
PREDICTIONS = "tests/metadata_api/predicting/test_predictions.py"
CLIENT = "tests/metadata_api/predicting/test_v2_client.py"
GROUPS = {
    "tests/system/test_kills.py": CLOCK,
    "tests/metadata_api/deploying/test_pace.py": CLOCK,
    "tests/metadata_api/database/test_outage.py::test_while_postgres_is_stopped": CLOCK,
    "tests/metadata_api/test_importing.py::test_five_thousand_rows": CLOCK,
    f"{PREDICTIONS}::TestFailures::test_one_dead_and_one_late": CLOCK,
    f"{PREDICTIONS}::TestFailures::test_all_that_hang": CLOCK,
    f"{PREDICTIONS}::TestRecord::test_of_the_same_image": CLOCK,
    f"{CLIENT}::test_a_model_that_hangs": CLOCK,
    f"{CLIENT}::test_a_server_that_is_not_there": CLOCK,
    "tests/system/test_leftovers.py": "leftovers",
    "tests/system/": STACK,
    "tests/ui/test_browser.py": STACK,
    "tests/ui/test_whole_way.py": STACK,
    "tests/ui/test_every_kind.py": STACK,
    f"{RUNTIMES}::TestHealing": "healing",
    f"{RUNTIMES}::TestEnd": "ends",
    f"{NATIVE}::TestSameAnswers": "same answers",
    RUNTIMES: "fronts",
    "tests/serving/runtimes/": "runtimes",
    "tests/serving/front/": "fronts",
    "tests/serving/conformance/": "conformance",
    "tests/serving/containment/": "containment",
    "tests/ui/test_try.py": "try",
    "tests/ui/test_kinds.py": "try",
    "tests/ui/test_drawing.py": "try",
    "tests/ui/test_right_answers.py": "try",
    "tests/ui/test_steady.py": "pages",
    "tests/ui/test_weight.py": "try",
    "tests/ui/test_pages.py": "pages",
    "tests/ui/test_label_page.py": "pages",
    "tests/ui/test_scores_page.py": "pages",
    "tests/metadata_api/pages/": "operators",
    "tests/metadata_api/evidence/test_label_pages.py": "pages",
    "tests/metadata_api/evidence/test_pages.py": "pages",
    "tests/ui/test_workbench.py": "pages",
    "tests/ui/test_readers_clock.py": "pages",
    "tests/ui/test_shell.py": "pages",
    "tests/ui/test_guard.py": "pages",
    "tests/ui/test_models_page.py": "pages",
    "tests/ui/test_uploads.py": "pages",
    "tests/ui/test_login.py": "logins",
    "tests/ui/test_login_pages.py": "logins",
    "tests/ui/test_role_pages.py": "logins",
    "tests/ui/test_oidc_pages.py": "logins",
    "tests/metadata_api/auth/test_login_of_the_ui.py": "logins",
    "tests/models/test_every_experiment.py": "every experiment",
    "tests/models/": "training",
    "tests/marina/": "command line",
    "tests/metadata_api/deploying/kserve/": "simulated cluster",
    "tests/metadata_api/test_no_500.py": "fuzzing",
    "tests/metadata_api/test_openapi.py": "fuzzing",
    "tests/marina_local/test_postgres.py": "launcher's postgres",
    "tests/marina_local/": "launcher",
    "tests/chart/test_shapes.py": "shapes",
}
# What takes longest, in this order; all others follow in the order of the command line.
FIRST = (
    "healing",
    "ends",
    "fronts",
    "runtimes",
    "launcher's postgres",
    "launcher",
    "pages",
    "operators",
    "logins",
    "same answers",
    "try",
    "conformance",
    "containment",
    "leftovers",
    "every experiment",
    "training",
    "command line",
    "simulated cluster",
    "fuzzing",
    "shapes",
    STACK,  # late: until the tests marked `clock` it costs a tenth of a core, whether it is asked or not
)
# Groups that start the whole system, its parts in every way there is, or train: each of their tests is marked `system`.
SYSTEM = {
    STACK, "leftovers", "healing", "ends", "same answers", "runtimes", "conformance", "containment", "launcher",
    "launcher's postgres", "every experiment", "training", "command line", "simulated cluster", "fuzzing",
}  # fmt: skip
# Fixtures that take seconds -> where they are known, and the groups that may use them.
FIXTURES = {
    "stack": ("tests/", {STACK, CLOCK}),
    "contained": ("tests/serving/", {"containment"}),
    "uncontained": ("tests/serving/", {"containment"}),
    "served": ("tests/serving/", {"conformance"}),
    "front": ("tests/serving/", {"fronts", "healing", "runtimes"}),
    "native_front": ("tests/serving/", {"fronts", "healing", "runtimes"}),
    "torchserve_front": ("tests/serving/", {"fronts", "healing", "runtimes"}),
}


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process whole groups, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        """Give a process its next group. When only the clock's is left, that is the end for all processes but one."""
        if list(self.workqueue) == [CLOCK] and node is not self._last() and not node.shutting_down:
            node.shutdown()
        else:
            super()._reschedule(node)

    def _last(self) -> WorkerController:
        """The process with the running system, which tests of both groups take; without one, any."""
        going_on = [node for node in self.nodes if not node.shutting_down] or self.nodes
        return next((node for node in going_on if STACK in self.assigned_work[node]), going_on[0])


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test of a group of the tier `system` is marked so."""
    if group_of(item.nodeid) in SYSTEM:
        item.add_marker("system")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """The scheduler of every run with `-n`."""
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """UsageError for a test outside its group, as another process would start everything for it; sort by group."""
    for item in items:
        if _is_clock(item) != (group_of(item.nodeid) == CLOCK):
            raise pytest.UsageError(
                f"{item.nodeid}: mark it `{CLOCK}` and put it into that group in {__name__}"
            )
        for fixture in FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            place, groups = FIXTURES[fixture]
            if item.nodeid.startswith(place) and group_of(item.nodeid) not in groups:
                raise pytest.UsageError(f"{item.nodeid} takes {fixture}: put it into a group in {__name__}")
        if "stack" in getattr(item, "fixturenames", ()) and item.get_closest_marker("system") is None:
            raise pytest.UsageError(f"{item.nodeid} takes the running system: mark it `system`")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))
    items.sort(key=_is_clock)


@pytest.fixture(scope="session", autouse=True)
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A lock on the folder of the run, held by each process until its last fixture is gone, or itself."""
    folder = os.open(tmp_path_factory.getbasetemp().parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)
    yield folder
    os.close(folder)


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, others: int) -> None:
    """A test marked `clock` begins when all other processes of the run have ended."""
    if "PYTEST_XDIST_WORKER" in os.environ and _is_clock(request.node):
        until(lambda: _have_ended(others), "the other processes end", OTHERS_SECONDS, pause=0.1)


def group_of(nodeid: str) -> str:
    """Name of the group that a test belongs to."""
    found = (group for start, group in GROUPS.items() if nodeid.startswith(start))
    return next(found, nodeid.partition("::")[0])


def _is_clock(item: pytest.Item) -> bool:
    return item.get_closest_marker(CLOCK) is not None


def _have_ended(others: int) -> bool:
    try:
        fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
