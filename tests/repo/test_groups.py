"""What the tests are grouped by is there."""

import re

import pytest

from tests.conftest import ROOT
from tests.groups import CLOCK, FIRST, FIXTURES, GROUPS


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
