"""The command `label`: says what is right about many inputs at once, and how far a task is."""

import math
import unicodedata
from pathlib import Path
from typing import Annotated, Any

import typer

from marina import inputs, label_files, printing
from marina.api import Api, Json, one_line
from marina.commands import AsJson, api_of, app
from marina.errors import Failure, Unreachable, WrongUse
from marina.label_files import Row

ASK_SECONDS = 120.0


@app.command()
def label(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="As `marina ask` and the page Label name it.")],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER|FILE.csv",
            help="A folder with a folder for each class, or the columns sha256 or file, label and note.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Label inputs for a task, or without a path show how far it is. Exit code 1 if some were rejected.

    Models of the task are asked about each file first, so that it is stored and there is an answer to score.
    """
    rows = label_files.rows(path) if path is not None else []
    with api_of(context) as api:
        takes = _queue(api, task)["takes"]
        done, problems = _label(api, task, rows, takes, dry_run=dry_run)
        report = {"task": task, "labelled": done, "rejected": len(problems), "dry_run": dry_run}
        report |= {"problems": problems, "queue": _queue(api, task)}
    if as_json:
        printing.tell_json(report)
    else:
        _tell(report, has_rows=bool(rows))
    if problems:
        raise Failure(f"{len(problems)} of {len(rows)} inputs were not labelled")


def _queue(api: Api, task: str) -> Json:
    """How far a task is, and what it takes; raises NotFound for one that no version has."""
    found = api.get("/v1/label-queue", task=task, limit=1)
    return {key: found[key] for key in ("takes", "labelled", "open", "decisive")}


def _label(
    api: Api, task: str, rows: list[Row], takes: Json, *, dry_run: bool
) -> tuple[int, list[dict[str, str]]]:
    """How many are labelled, and what is wrong with the others."""
    names = _deployments(api, task) if any(row.file for row in rows) and not dry_run else []
    problems: list[dict[str, str]] = []
    with printing.Waiting(lines=False) as waiting:
        for number, row in enumerate(rows, 1):
            waiting.show(f"{number} of {len(rows)}: {row.where}")
            try:
                _label_one(api, task, row, takes, None if dry_run else names)
            except Unreachable:
                # The next would fare no better; what is labelled stays, and labelling again changes nothing.
                raise
            except Failure as failure:
                problems.append({"input": row.where, "reason": str(failure)})
    return len(rows) - len(problems), problems


def _label_one(api: Api, task: str, row: Row, takes: Json, names: list[str] | None) -> None:
    """Raises Failure with the reason; without `names` it only checks."""
    if row.problem:
        raise WrongUse(row.problem)
    answer = _answer(row.value, takes)
    request = inputs.request_of([str(row.file)], None, None) if row.file else None
    if names is None:
        return
    sha256 = row.sha256
    if request:
        content = request.content({"deployments": names}, None)
        found = api.send("POST", "/v1/predictions", seconds=ASK_SECONDS, **content)
        sha256 = found["input"]["sha256"]
    api.post(f"/v1/inputs/{sha256}/labels", {"task": task, "note": row.note, **answer})


def _answer(value: str, takes: Json) -> dict[str, Any]:
    """The value as the task takes it; raises WrongUse."""
    fields = takes["fields"]
    if not fields:
        raise WrongUse("this task takes no labels")
    field = fields[0]
    if field == "number":
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise WrongUse(f"{value!r} is no number, which is what the task takes")
        return {field: number}
    if field == "label" and takes["labels"]:
        # Folders of macOS have their names decomposed.
        known = {unicodedata.normalize("NFC", one): one for one in takes["labels"]}
        found = value if value in takes["labels"] else known.get(unicodedata.normalize("NFC", value))
        if found is None:
            raise WrongUse(f"{value!r} is no class of the task")
        return {field: found}
    return {field: value}


def _deployments(api: Api, task: str) -> list[str]:
    """Those that run and have the task; raises Failure when there is none."""
    pages = api.pages("/v1/deployments", limit=1000)
    found = [one["name"] for page in pages for one in page["items"] if one["task"] == task]
    if not found:
        raise Failure(f"no deployment has the task {task}: deploy one, so that files can be asked about")
    return found


def _tell(report: Json, *, has_rows: bool) -> None:
    for problem in report["problems"][: printing.SHOWN_PROBLEMS]:
        printing.tell(one_line(f"{problem['input']}: {problem['reason']}"))
    if (more := report["rejected"] - printing.SHOWN_PROBLEMS) > 0:
        printing.tell(f"... and {more} more")
    if has_rows:
        said = f"{report['labelled']} labelled, {report['rejected']} rejected"
        printing.tell(said + (" (dry run: nothing was sent)" if report["dry_run"] else ""))
    queue = report["queue"]
    printing.tell(
        f"{report['task']}: {queue['labelled']} inputs have a label, {queue['open']} are open; "
        f"models differ on {queue['decisive']} of these"
    )
