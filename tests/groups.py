"""How the tests are spread over the processes of a run: which go together, and which begin first.

A group is what one process does in a row. Tests that share something that takes seconds to start are a group, so that
it starts once: the running system, the fronts of both runtimes, those of the conformance suite. All others are grouped
by file, or by class where a file takes long. What takes longest begins first, so that all processes end together.
"""

from collections.abc import Generator

import pytest

# Fixture that takes seconds -> the group of the tests that use it.
SHARED = {
    "stack": "stack",
    "served": "conformance",
    "front": "fronts",
    "torchserve_front": "fronts",
    "native_front": "fronts",
}
# What takes longest, in this order; all others follow in the order of the command line.
FIRST = (
    "stack",
    "test_runtimes.py::TestHealing",
    "fronts",
    "test_pages.py::TestTry",
    "test_native.py::TestSameAnswers",
    "test_pages.py::TestExperiments",
    "conformance",
    "test_runtimes.py::TestEnd",
    "test_pages.py::TestDeployments",
    "test_every_experiment.py",
    "test_shapes.py",
)
# Classes that are groups of their own, whatever they share.
BY_CLASS = {name for name in FIRST if "::" in name}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Mark each test with its group for xdist, which puts it into the test's id; then sort."""
    if not getattr(config.option, "loadgroup", False):
        return (yield)
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    yield
    items.sort(key=lambda item: FIRST.index(groups[item]) if groups[item] in FIRST else len(FIRST))


def group_of(item: pytest.Item) -> str:
    """Name of the group that a test belongs to."""
    parent = item.getparent(pytest.Class)
    by_class = f"{item.path.name}::{parent.name}" if parent else ""
    if by_class in BY_CLASS:
        return by_class
    for fixture, group in SHARED.items():
        if fixture in getattr(item, "fixturenames", ()):
            return group
    return item.path.name if item.path.name in FIRST else item.location[0]
