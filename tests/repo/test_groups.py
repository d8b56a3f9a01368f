"""What the tests are grouped by is there."""

import re

import pytest

from tests.conftest import ROOT
from tests.groups import FIRST, SHARED

SOURCES = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py")}


@pytest.mark.parametrize("name", [name for name in FIRST if ".py" in name])
def test_every_file_and_class_exists_once(name: str) -> None:
    file, _, parent = name.partition("::")
    found = [text for path, text in SOURCES.items() if path.name == file]
    assert len(found) == 1
    assert not parent or f"\nclass {parent}:" in found[0]


@pytest.mark.parametrize("name", SHARED)
def test_every_fixture_exists(name: str) -> None:
    conftests = [text for path, text in SOURCES.items() if path.name == "conftest.py"]
    assert any(re.search(rf"@pytest\.fixture[^\n]*\ndef {name}\(", text) for text in conftests)


def test_every_group_that_begins_first_is_one() -> None:
    assert {name for name in FIRST if ".py" not in name} <= set(SHARED.values())
