"""The rows of the conformance table, as a plugin of pytest finds them in the tests.

    @pytest.mark.section("Datatypes")                   on a test, its class or its module
    @pytest.mark.row("`{datatype}` in JSON")            on a test; `why="..."` for what is not supported

Words in braces are values of the test's parameters. Tests of the same row share it: all of them must pass.
"""

from collections import defaultdict
from collections.abc import Container
from typing import NamedTuple

import pytest

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
FIXTURE = "served"  # a test that takes it asks a front; its parameter is the runtime


class Row(NamedTuple):
    section: str
    text: str
    why: str = ""


class Suite:
    """All rows in the order of their tests, and what became of them; `sections` are those that there may be."""

    def __init__(self, sections: Container[str]) -> None:
        self._sections = sections
        self._tests: dict[Row, dict[str, list[str]]] = {}
        self._runtimes: dict[str, None] = {}
        self._ended: defaultdict[str, set[str]] = defaultdict(set)

    @property
    def rows(self) -> list[Row]:
        return list(self._tests)

    @property
    def runtimes(self) -> list[str]:
        return list(self._runtimes)

    def cell(self, row: Row, runtime: str) -> str:
        """Passed, failed or not run: what became of the row's tests."""
        ended = [self._ended[test] for test in self._tests[row].get(runtime, [])]
        if any(FAILED in each for each in ended):
            return FAILED
        return PASSED if ended and all(PASSED in each for each in ended) else NOT_RUN

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note a test's row. Raises UsageError for a test that asks a front and has none, or an unknown section."""
        if FIXTURE not in getattr(item, "fixturenames", ()):
            return
        values = item.callspec.params  # type: ignore[attr-defined]
        section, row = item.get_closest_marker("section"), item.get_closest_marker("row")
        if section is None or row is None:
            raise pytest.UsageError(f"{item.nodeid} has no row: mark it with `row` and `section`")
        texts = (section.args[0], row.args[0], row.kwargs.get("why", ""))
        found = Row(*[text.format_map(values) for text in texts])
        if found.section not in self._sections:
            raise pytest.UsageError(
                f"{item.nodeid} is in {found.section!r}, which is no section of the document"
            )
        self._runtimes[values[FIXTURE]] = None
        self._tests.setdefault(found, {}).setdefault(values[FIXTURE], []).append(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a part of a test ended: its fixtures, the test itself, what is tidied up."""
        if report.failed:
            self._ended[report.nodeid].add(FAILED)
        elif report.passed and report.when == "call":
            self._ended[report.nodeid].add(PASSED)
