"""What a check has to say: one line in plain words, and what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

LONGEST_TEXT = 400


class Level(StrEnum):
    """How bad a finding is. Only `FAIL` stops the product."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    check: str
    """The part of the cluster that was looked at, such as `storage`."""
    text: str
    remedy: str = ""

    def line(self) -> str:
        """The finding for people, without a line break."""
        text = f"{self.level.value:<5} {self.check}: {_one_line(self.text)}"
        return f"{text.rstrip('.')}. {_one_line(self.remedy)}" if self.remedy else text

    def document(self) -> dict[str, Any]:
        """The finding for programs."""
        return asdict(self)


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, check, text)


def info(check: str, text: str) -> Finding:
    """Neither good nor bad, but good to know."""
    return Finding(Level.INFO, check, text)


def warn(check: str, text: str, remedy: str) -> Finding:
    """The product works, but not all of it, or not for long."""
    return Finding(Level.WARN, check, text, remedy)


def fail(check: str, text: str, remedy: str) -> Finding:
    """The product, or its installation, is stopped by this."""
    return Finding(Level.FAIL, check, text, remedy)


def stops(findings: Iterable[Finding]) -> bool:
    """Whether any of them stops the product."""
    return any(finding.level is Level.FAIL for finding in findings)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 3] + "..."
