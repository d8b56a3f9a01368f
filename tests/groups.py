"""How the tests are spread over the processes of a run: which go together, and which begin first.

A group is what one process does in a row: the tests of a file, or of a class where a file takes long. All tests that
take the running system are one group, so that it starts once. The groups that take longest begin first, so that all
processes end together.
"""

from collections.abc import Generator

import pytest

# Groups that take longest, in this order; all others follow in the order of the command line.
FIRST = (
    "stack",
    "test_runtimes.py::TestHealing",
    "test_pages.py::TestTry",
    "test_native.py::TestSameAnswers",
    "test_pages.py::TestExperiments",
    "test_runtimes.py::TestReadiness",
    "test_pages.py::TestDeployments",
    "test_every_experiment.py",
)
# Files whose classes are groups of their own.
BY_CLASS = {name.partition("::")[0] for name in FIRST if "::" in name}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Mark each test with its group for xdist, which names it in the test's id; then sort."""
    if not getattr(config.option, "loadgroup", False):
        return (yield)
    groups = {}
    for item in items:
        groups[item] = group_of(item)
        item.add_marker(pytest.mark.xdist_group(groups[item]))
    yield
    items.sort(key=lambda item: FIRST.index(groups[item]) if groups[item] in FIRST else len(FIRST))


def group_of(item: pytest.Item) -> str:
    """Name of the group that a test belongs to."""
    if "stack" in getattr(item, "fixturenames", ()):
        return "stack"
    name = item.path.name
    parent = item.getparent(pytest.Class)
    if name in BY_CLASS and parent:
        return f"{name}::{parent.name}"
    return name if name in FIRST else item.location[0]
