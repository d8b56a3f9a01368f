"""How answers of the API are shown to people; what others wrote never steers the terminal."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from marina.api import Json, as_text, one_line
from marina.waiting import state_of

# Where no terminal says how wide it is, a reader of lines does not want them broken.
UNBROKEN = 400
SHOWN_PROBLEMS = 20
SHOWN_NAMES = 3
COLOURS = {"ready": "green", "failed": "red", "starting": "yellow", "pending": "yellow"}


def tell(line: str) -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")


def tell_json(body: Any) -> None:
    """A JSON document on standard output."""
    sys.stdout.write(as_text(body) + "\n")


def tell_table(heads: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table on standard output."""
    table = Table(*heads, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) if isinstance(cell, str) else cell for cell in row))
    width = None if sys.stdout.isatty() else UNBROKEN
    Console(file=sys.stdout, width=width).print(table)


@contextmanager
def progress_of_upload() -> Iterator[Progress]:
    """A bar on standard error, if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        yield progress


class Waiting:
    """Shows a state on standard error while it lasts: a spinner on a terminal, else a line for each change.

    Without `lines` nothing is shown where there is no terminal.
    """

    def __init__(self, *, lines: bool = True) -> None:
        self._last = ""
        self._lines = lines
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.elapsed:.0f} s"))
        console = Console(stderr=True)
        self._progress = Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())

    def __enter__(self) -> "Waiting":
        self._progress.start()
        self._task = self._progress.add_task("")
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, state: str) -> None:
        """What is waited for, now."""
        if state == self._last:
            return
        self._last = state
        if self._progress.disable and self._lines:
            sys.stderr.write(state + "\n")
        elif not self._progress.disable:
            self._progress.update(self._task, description=Text(state).plain.replace("[", r"\["))


def tell_signature(spec: Json, batch: str) -> None:
    """What a packed model takes and gives."""
    for side in ("inputs", "outputs"):
        for one in spec[side]:
            shape = "x".join("n" if size == -1 else str(size) for size in one["shape"])
            tell(f"{side[:-1]:7} {one['name']}: {one['kind']}, {one['datatype']} {shape}")
    if batch != "any":
        tell(
            "the model takes one row at a time: export it with a batch dimension that may vary, and it gets faster"
        )


def tell_log(parts: Iterable[tuple[str | None, Sequence[str]]]) -> None:
    """Lines of a log under the pod that they are of, as they come."""
    last: str | None = None
    for pod, lines in parts:
        if pod and pod != last:
            tell(f"== {pod}")
        last = pod
        for line in lines:
            tell("".join(letter if letter.isprintable() or letter == "\t" else " " for letter in line))
        sys.stdout.flush()


def deployment_rows(deployments: Iterable[Json]) -> Iterator[tuple[str | Text, ...]]:
    """Name, experiment, version, state and runtime."""
    for one in deployments:
        answering = one["observed"]["version"]
        version = str(one["version"])
        if answering not in (None, one["version"]):
            version += f" ({answering} answers)"
        state = Text(state_of(one), style=COLOURS.get(one["observed"]["state"], ""))
        yield one["name"], one["experiment"], version, state, one["runtime"]


def tell_report(report: Json) -> None:
    """What an import did, with the first problems."""
    said = f"{report['accepted']} imported, {report['unchanged']} unchanged, {report['rejected']} rejected"
    tell(said + (" (dry run: nothing was stored)" if report["dry_run"] else ""))
    for problem in report["problems"][:SHOWN_PROBLEMS]:
        column = f", {problem['column']}" if problem.get("column") else ""
        where = problem["run"] if "run" in problem else f"line {problem['line']}{column}"
        tell(one_line(f"{where}: {problem['reason']}"))
    if report["rejected"] > SHOWN_PROBLEMS and "id" in report:
        tell(f"... and {report['rejected'] - SHOWN_PROBLEMS} more: see /v1/imports/{report['id']}")


def tell_comparison(comparison: Json) -> None:
    """What `ask` was answered: by task the answers, how they agree and the warnings; then who was not asked."""
    tasks: dict[str, list[Json]] = {}
    for result in comparison["results"]:
        tasks.setdefault(result["task"], []).append(result)
    agreements = {one["task"]: one for one in comparison["agreements"]}
    for task, results in tasks.items():
        if len(tasks) > 1:
            tell(one_line(f"== {task}"))
        tell_table(("deployment", "version", "answer", ""), answer_rows(results))
        for line in (*agreement_lines(agreements.get(task)), *warning_lines(results)):
            tell(line)
    for line in not_asked_lines(comparison["not_asked"]):
        tell(line)


def answer_rows(results: Iterable[Json]) -> Iterator[tuple[str, ...]]:
    """Deployment, version, answer and milliseconds of each result of `ask`."""
    for one in results:
        version = "" if one.get("version") is None else str(one["version"])
        yield one["deployment"], version, answer_of(one), f"{one['latency_ms']:.0f} ms"


def answer_of(result: Json) -> str:
    """One answer in a few words, whatever its kind."""
    if result["status"] != "ok":
        return f"error: {(result.get('error') or {}).get('detail', 'it says no more')}"
    return _said(result)


def agreement_lines(found: Json | None) -> Iterator[str]:
    """How the answers of one task agree, in one line; none when one answer is all there is."""
    if found is None or found["of"] < 2:
        return
    if found["kind"] == "numbers":
        unit = f" {one_line(found['unit'])}" if found["unit"] else ""
        yield f"{found['of']} answers from {found['least']:g} to {found['greatest']:g}, mean {found['mean']:g}{unit}"
    elif found["kind"] == "texts":
        yield f"{len(found['groups'])} different texts of {found['of']} answers"
    elif found["kind"] == "classes" and found["label"] is None:
        yield f"no label has most of {found['of']} votes"
    elif found["kind"] == "classes":
        yield f"{found['votes']} of {found['of']} say {one_line(found['label'])}"


def warning_lines(results: Sequence[Json]) -> Iterator[str]:
    """What the models find unusual about the input: each remark once, with how many say so when not all do."""
    said = Counter(one["warning"] for one in results if one.get("warning"))
    answered = sum(one["status"] == "ok" for one in results)
    for warning, count in said.most_common():
        yield one_line(f"warning: {warning}{f' ({count} of {answered} models)' if count < answered else ''}")


def not_asked_lines(not_asked: Sequence[Json]) -> Iterator[str]:
    """Who was not asked, a line for each reason: its detail where all have the same, else the reason's name."""
    reasons: dict[str, list[Json]] = {}
    for one in not_asked:
        reasons.setdefault(one["reason"], []).append(one)
    for reason, group in reasons.items():
        details = {one["detail"] for one in group}
        why = details.pop() if len(details) == 1 else reason.replace("_", " ")
        names = [one["deployment"] or one["experiment"] for one in group]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        yield one_line(f"not asked: {', '.join(names[:SHOWN_NAMES])}{more}: {why}")


def _said(result: Json) -> str:
    if result.get("boxes") is not None:
        boxes = [f"{box.get('label')} {box.get('score', 0):.0%}" for box in result["boxes"][:5]]
        return f"{len(result['boxes'])} boxes: {', '.join(boxes)}" if boxes else "no boxes"
    if result.get("number") is not None:
        return f"{result['number']:g} {result.get('unit') or ''}".rstrip()
    if result.get("text") is not None:
        return str(result["text"])
    best = (result.get("probabilities") or [{}])[0]
    if result.get("label") is not None:
        sure = best.get("probability")
        return f"{result['label']}{'' if sure is None else f' {sure:.1%}'}"
    tensors = result.get("tensors") or []
    return ", ".join(f"{one['name']} {one['datatype']} {one['shape']}" for one in tensors) or "no answer"
