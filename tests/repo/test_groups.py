"""What the tests are grouped by is there."""

import re

import pytest

from tests.conftest import ROOT
from tests.groups import FIRST, FIXTURES, GROUPS


@pytest.mark.parametrize("start", GROUPS)
def test_every_path_and_class_exists(start: str) -> None:
    path, _, parent = start.partition("::")
    assert (ROOT / path).exists()
    assert not parent or f"\nclass {parent}:" in (ROOT / path).read_text()


@pytest.mark.parametrize("name", FIXTURES)
def test_every_fixture_exists(name: str) -> None:
    conftests = [path.read_text() for path in (ROOT / "tests").rglob("conftest.py")]
    assert any(re.search(rf"@pytest\.fixture[^\n]*\ndef {name}\(", text) for text in conftests)


def test_every_group_that_begins_first_or_shares_is_one() -> None:
    sharing = set().union(*(groups for _, groups in FIXTURES.values()))
    assert set(FIRST) | sharing == set(GROUPS.values())
