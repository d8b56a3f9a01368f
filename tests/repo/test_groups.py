"""What the tests are grouped by is there."""

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.groups import CLOCK, FIRST, FIXTURES, GROUPS, SYSTEM
from tests.repo.test_commands import make


@pytest.mark.parametrize("start", GROUPS)
def test_every_path_class_and_test_exists(start: str) -> None:
    path, *names = start.split("::")
    assert (ROOT / path).exists()
    for name in names:
        word = "def" if name.startswith("test_") else "class"
        assert re.search(rf"^ *{word} {name}", (ROOT / path).read_text(), re.M)


@pytest.mark.parametrize("name", FIXTURES)
def test_every_fixture_exists(name: str) -> None:
    conftests = [path.read_text() for path in (ROOT / "tests").rglob("conftest.py")]
    assert any(re.search(rf"@pytest\.fixture[^\n]*\ndef {name}\(", text) for text in conftests)


def test_every_group_that_begins_first_or_shares_is_one() -> None:
    sharing = set().union(*(groups for _, groups in FIXTURES.values()))
    assert set(FIRST) | sharing == set(GROUPS.values())
    assert CLOCK not in FIRST


def test_the_target_of_the_system_looks_where_its_tests_are() -> None:
    plan = make("--dry-run", "test-system").stdout
    (command,) = [line for line in plan.splitlines() if "system and not long" in line]
    places = tuple(word for word in command.split() if word.startswith("tests/"))
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if "mark.system" in path.read_text()]
    starts = [start for start, group in GROUPS.items() if group in SYSTEM]
    for name in [*starts, *(str(path.relative_to(ROOT)) for path in marked if path != Path(__file__))]:
        assert name.startswith(places), f"make test-system does not look at {name}"
