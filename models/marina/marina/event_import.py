"""Import of TensorBoard's runs: each becomes an experiment. Importing again sends only what has changed."""

import hashlib
import re
import unicodedata
from collections import deque
from pathlib import Path

from marina.api import Api, Json
from marina.errors import Failure, NotFound, Unreachable
from marina.event_files import EventRun, runs
from marina.points import batch, body

TAG = "tensorboard"
"""Holds the digest of what was imported; until all of it is there, another word."""
UNFINISHED = "unfinished"
MAX_NAME = 40
BATCH_POINTS = 10_000


def import_runs(api: Api, path: Path, *, dry_run: bool) -> Json:
    """Send the runs of a folder; a report as of a CSV, whose problems have a `run` and a reason.

    Raises Failure, WrongUse. A run that the API rejects, or that says nothing, is a problem.
    """
    report: Json = {
        "dry_run": dry_run,
        "accepted": 0,
        "unchanged": 0,
        "rejected": 0,
        "problems": [],
        "experiments": [],
    }
    taken: set[str] = set()
    for run in runs(path):
        problems = list(run.faults)
        name = _name(run.name, taken)
        try:
            if not run.points and not run.parameters:
                raise Failure("it has no scalars")
            outcome = _send(api, name, run, dry_run)
        except Unreachable:
            raise
        except Failure as failure:
            outcome = "rejected"
            problems.append(str(failure))
        report[outcome] += 1
        if outcome == "accepted":
            report["experiments"].append(name)
        report["problems"] += ({"run": run.name, "reason": reason} for reason in problems)
    return report


def _send(api: Api, name: str, run: EventRun, dry_run: bool) -> str:
    """What became of it: accepted or unchanged; raises Failure."""
    path = f"/v1/experiments/{name}"
    try:
        found = api.get(path)
    except NotFound:
        found = None
    if found is not None and TAG not in found["tags"]:
        raise Failure(f"there is an experiment {name} that is not from TensorBoard: rename the folder")
    digest = run.digest
    if found is not None and found["tags"][TAG] == digest:
        return "unchanged"
    if dry_run:
        return "accepted"
    said = {"parameters": run.parameters, "tags": {TAG: UNFINISHED}, "state": "running"}
    if found is None:
        api.post(
            "/v1/experiments", {"name": name, "display_name": run.name[:200], "source": "import", **said}
        )
    else:
        api.patch(path, said)
    held = deque(run.points)
    while points := batch(held, BATCH_POINTS):
        api.post(f"{path}/points", body(points))
    api.patch(path, {"tags": {TAG: digest}, "state": "finished"})
    return "accepted"


def _name(shown: str, taken: set[str]) -> str:
    """A DNS label for a run, the same in every import: where it is long or another has it, with a part of a hash."""
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode().lower()
    label = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not label[:1].isalpha():
        label = f"e-{label}".rstrip("-")
    if len(label) > MAX_NAME or label in taken:
        digest = hashlib.sha256(shown.encode()).hexdigest()[:6]
        label = f"{label[: MAX_NAME - 7].rstrip('-')}-{digest}"
    taken.add(label)
    return label
