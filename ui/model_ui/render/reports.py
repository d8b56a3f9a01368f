"""What became of a CSV, and which lines were rejected and why; used by the Import page."""

from model_ui.api_types import ImportReport
from model_ui.render.markup import chip, empty, text

NAMES = 12


def report(result: ImportReport) -> str:
    """HTML of an import report: the counts, then every rejected line."""
    verb = "would be imported" if result.dry_run else "imported"
    counts = (
        _count(result.accepted, verb, "ok" if result.accepted else "")
        + _count(result.unchanged, "unchanged", "")
        + _count(result.rejected, "rejected", "bad" if result.rejected else "")
    )
    title = "Check of" if result.dry_run else "Import of"
    name = result.filename or "the file"
    return (
        f'<section class="m-report" aria-live="polite"><h3>{title} <span title="{text(name)}">{text(name)}</span></h3>'
        f'<div class="m-counts">{counts}</div>{_names(result)}{_problems(result)}</section>'
    )


def waiting() -> str:
    """HTML of the place for the report before there is one."""
    return empty(
        "No file yet", "Choose a CSV, check it, import it. Lines that do not fit are listed with the reason."
    )


def _count(count: int, label: str, kind: str) -> str:
    return f'<div class="m-tally {kind}"><b>{count:,}</b><span>{label}</span></div>'


def _names(result: ImportReport) -> str:
    if not result.experiments:
        return ""
    shown = "".join(chip(name, title=name) for name in result.experiments[:NAMES])
    more = result.accepted - NAMES
    rest = chip(f"and {more:,} more", "quiet") if more > 0 else ""
    return f'<p class="m-chips">{shown}{rest}</p>'


def _problems(result: ImportReport) -> str:
    if not result.problems:
        return '<p class="m-sub">No line was rejected.</p>' if not result.rejected else ""
    rows = "".join(
        f'<tr><td class="num">{problem.line:,}</td><td>{text(problem.column or "–")}</td>'
        f"<td>{text(problem.reason)}</td></tr>"
        for problem in result.problems
    )
    listed = len(result.problems)
    first = f"the first {listed:,} of {result.rejected:,}" if result.rejected > listed else "all"
    return (
        f'<div class="m-table-wrap"><table class="m-table m-problems"><caption>Rejected lines ({first})</caption>'
        f'<thead><tr><th scope="col" class="num">Line</th><th scope="col">Column</th><th scope="col">Reason</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
