"""The report: all checks over what was observed, as lines for people or as JSON for programs."""

import json
from collections.abc import Callable
from typing import Any

from marina_doctor import (
    exposure,
    inference_services,
    namespaces,
    platform,
    pods,
    readiness,
    rights,
    volumes,
    workloads,
)
from marina_doctor.findings import Finding, stops, warn
from marina_doctor.observed import Observed

CHECKS: tuple[Callable[[Observed], list[Finding]], ...] = (
    platform.check,
    rights.check,
    namespaces.check,
    volumes.check,
    exposure.check,
    workloads.check,
    pods.check,
    readiness.check,
    inference_services.check,
)


def findings(observed: Observed) -> list[Finding]:
    """What every check says, in the order in which a release comes up."""
    return [*(finding for check in CHECKS for finding in check(observed)), *_unreadable(observed)]


def exit_code(found: list[Finding]) -> int:
    """1 when something stops the product."""
    return 1 if stops(found) else 0


def as_lines(found: list[Finding]) -> str:
    """One line for each finding, and what it comes to."""
    bad = sum(stops([finding]) for finding in found)
    sum_up = f"{bad} found that stop Marina" if bad else "nothing found that stops Marina"
    return "\n".join([*(finding.line() for finding in found), sum_up])


def as_json(found: list[Finding], code: int, about: dict[str, Any]) -> str:
    """The same as one document: what it is about, `findings`, and the exit code as `exit`."""
    document = {**about, "findings": [one.document() for one in found], "exit": code}
    return json.dumps(document, indent=2)


def _unreadable(observed: Observed) -> list[Finding]:
    """What could not be looked at, by its reason."""
    by_reason: dict[str, list[str]] = {}
    for what, reason in observed.unreadable.items():
        by_reason.setdefault(reason, []).append(what)
    remedy = "Run the doctor as a user who may, to know about it"
    return [
        warn("doctor", f"not looked at ({reason}): {', '.join(sorted(names))}", remedy)
        for reason, names in by_reason.items()
    ]
