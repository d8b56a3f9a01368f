"""The index of the decision records names each with its title and status, and who amends a record is named by it."""

import re

import pytest

from tests.conftest import ROOT

RECORDS = {path.name[:4]: path for path in sorted((ROOT / "docs" / "adr").glob("0*.md"))}
AMENDS = re.compile(r"\bamends ((?:\[\d{4}\]\([^)]*\)(?:, | and )?)+)")
AMENDED = re.compile(r"\bamended by ((?:\[\d{4}\]\([^)]*\)(?:, | and )?)+)")


def status(number: str) -> str:
    """The status of a record, in one line."""
    found = re.search(r"^- Status: (.*?)\n(?=- |\n)", RECORDS[number].read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return " ".join(found[1].split())


def named(pattern: re.Pattern[str], number: str) -> set[str]:
    """The records that the status of one names after a word."""
    found = pattern.search(status(number))
    return set(re.findall(r"\[(\d{4})\]", found[1])) if found else set()


def test_the_index_has_every_record_as_it_calls_itself() -> None:
    rows = [line for line in (ROOT / "docs/adr/README.md").read_text().splitlines() if line.startswith("| [")]
    assert rows == [
        f"| [{number}]({path.name}) | {path.read_text().splitlines()[0][len('# 0000 ') :]} | {status(number)} |"
        for number, path in RECORDS.items()
    ]


@pytest.mark.parametrize("number", RECORDS)
def test_a_record_and_the_one_that_it_amends_name_each_other(number: str) -> None:
    assert all(number in named(AMENDED, other) for other in named(AMENDS, number))
    assert all(number in named(AMENDS, other) for other in named(AMENDED, number))
