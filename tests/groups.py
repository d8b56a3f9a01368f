"""How the tests are spread over the processes of a run: which go together, and which begin first.

A group is what one process does in a row. Tests that share something that takes seconds to start are a group, so that
it starts once: the running system, the fronts of both runtimes, those of the conformance suite. All others are grouped
by file, or by class where a file takes long. What takes longest begins first, so that all processes end together.
"""

import os
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

RUNTIMES = "tests/serving/runtimes/test_runtimes.py"
NATIVE = "tests/serving/runtimes/test_native.py"
PAGES = "tests/ui/test_pages.py"
# How the ids of a group's tests begin -> the group. The first that fits counts.
GROUPS = {
    "tests/system/test_leftovers.py": "leftovers",
    "tests/system/": "stack",
    "tests/ui/test_browser.py": "stack",
    f"{RUNTIMES}::TestHealing": "healing",
    f"{NATIVE}::TestSameAnswers": "same answers",
    "tests/serving/runtimes/": "fronts",
    "tests/serving/front/": "fronts",
    "tests/serving/conformance/": "conformance",
    "tests/serving/containment/": "containment",
    f"{PAGES}::TestTry": "try",
    f"{PAGES}::TestExperiments": "experiments",
    f"{PAGES}::TestDeployments": "deployments",
    "tests/models/test_every_experiment.py": "every experiment",
    "tests/chart/test_shapes.py": "shapes",
}
# What takes longest, in this order; all others follow in the order of the command line.
FIRST = (
    "stack",
    "healing",
    "fronts",
    "leftovers",
    "try",
    "same answers",
    "experiments",
    "conformance",
    "containment",
    "deployments",
    "every experiment",
    "shapes",
)
# Fixtures that take seconds -> where they are known, and the groups that may use them.
FIXTURES = {
    "stack": ("tests/", {"stack"}),
    "contained": ("tests/serving/", {"containment"}),
    "uncontained": ("tests/serving/", {"containment"}),
    "served": ("tests/serving/", {"conformance"}),
    "front": ("tests/serving/", {"fronts", "healing"}),
    "native_front": ("tests/serving/", {"fronts", "healing"}),
    "torchserve_front": ("tests/serving/", {"fronts", "healing"}),
}


class Groups(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process whole groups, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """The scheduler of every run with `-n`."""
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """UsageError for a test outside its group, as another process would start everything for it; sort by group."""
    for item in items:
        for fixture in FIXTURES.keys() & set(getattr(item, "fixturenames", ())):
            place, groups = FIXTURES[fixture]
            if item.nodeid.startswith(place) and group_of(item.nodeid) not in groups:
                raise pytest.UsageError(f"{item.nodeid} takes {fixture}: put it into a group in {__name__}")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(group_of(item.nodeid), len(ranks)))


def group_of(nodeid: str) -> str:
    """Name of the group that a test belongs to."""
    found = (group for start, group in GROUPS.items() if nodeid.startswith(start))
    return next(found, nodeid.partition("::")[0])
