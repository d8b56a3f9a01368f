"""Entries of the audit log as a table, with what changed in short; used by the Audit tab."""

import json
from collections.abc import Sequence

from markupsafe import Markup
from pydantic import JsonValue

from model_ui.api_types import AuditEntry, AuditPage, Change
from model_ui.render.markup import chip, empty, moment, text

# Changes of an entry, fields of a change and letters of a value; what is more folds away, or is in the tooltip.
CHANGES = 4
FIELDS = 6
LETTERS = 60
NOTHING = "–"


def entries(page: AuditPage, *, subject: str, newest: bool) -> str:
    """HTML of a page of the log.

    Args:
        subject: the caller that was asked for; empty means all.
        newest: whether the page is the first one.
    """
    counts = _rejected(page)
    if not page.items:
        if subject:
            hint = f"The log has no entry of the caller {subject}. Names are compared as a whole."
            return counts + empty("Nothing found", hint)
        return counts + empty("Nothing has changed yet", "Every change by a request is listed here.")
    rows = "".join(_row(entry) for entry in page.items)
    of = f" of {text(subject)}" if subject else ""
    which = f"The newest {len(page.items)} changes" if newest else f"{len(page.items)} older changes"
    return (
        f'{counts}<div class="m-table-wrap"><table class="m-table m-audit"><caption>{which}{of}, newest first</caption>'
        '<thead><tr><th scope="col">Time (UTC)</th><th scope="col">Caller</th><th scope="col">Request</th>'
        f'<th scope="col">Changes</th><th scope="col">From</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def export(api: str) -> str:
    """How to get the log as CSV: a browser's link would carry no credential.

    `api` is the API's address as the browser reaches it, empty when it is unknown.
    """
    address = api if "://" in api else f"https://HOST{api}"
    command = f'curl --fail -H "Authorization: Bearer $TOKEN" -o audit.csv "{address}/v1/audit/export.csv?limit=10000"'
    where = "" if "://" in api else "; HOST is where the API is reached"
    return (
        f'<div class="m-intro"><p>As CSV, with an admin\'s token{where}:</p>'
        f'<p><code class="m-command">{text(command)}</code></p></div>'
    )


def changes_of(entry: AuditEntry) -> Markup:
    """What an entry changed, as a list; each value is escaped."""
    return Markup(_changes(entry.changes))


def _row(entry: AuditEntry) -> str:
    token = f"{entry.kind}, token {entry.token_id}" if entry.token_id else entry.kind
    # The route names the parameters, the path their values.
    request = f"{entry.route.partition(' ')[0]} {entry.path}"
    return (
        f'<tr><td>{moment(entry.at)}</td><td><span class="m-name">{text(entry.subject)}</span>'
        f'{chip(entry.role, title=token)}</td><td title="{text(entry.route)}">{text(request)}</td>'
        f"<td>{_changes(entry.changes)}</td>"
        f'<td>{text(entry.address)}<span class="m-sub" title="request id">{text(entry.request_id)}</span></td></tr>'
    )


def _changes(changes: Sequence[Change]) -> str:
    lines = [f"<li>{_change(change)}</li>" for change in changes]
    first = f'<ul class="m-changes">{"".join(lines[:CHANGES])}</ul>'
    if len(lines) <= CHANGES:
        return first
    rest = "".join(lines[CHANGES:])
    return f'{first}<details><summary>{len(lines) - CHANGES} more</summary><ul class="m-changes">{rest}</ul></details>'


def _change(change: Change) -> str:
    if change.more:
        return f"and {change.more:,} more rows"
    row = f"<b>{text(change.table)}</b> {text(change.key)}"
    if change.statement:
        return f"{row}: {text(change.statement)} of many rows"
    if not change.after:
        return f"{row} deleted"
    verb = " created" if not change.before else ""
    full, short = (_fields(change, letters) for letters in (None, LETTERS))
    left_out = f", and {len(short) - FIELDS} more" if len(short) > FIELDS else ""
    shown = f"{', '.join(short[:FIELDS])}{left_out}"
    return f'{row}{verb}: <span title="{text(", ".join(full))}">{text(shown)}</span>'


def _fields(change: Change, letters: int | None) -> list[str]:
    """What each field was and is, or only is when the row is new; each value at most so long."""
    if not change.before:
        return [f"{name} {_value(value, letters)}" for name, value in change.after.items()]
    names = dict.fromkeys([*change.before, *change.after])
    values = ((name, change.before.get(name), change.after.get(name)) for name in names)
    return [f"{name} {_value(old, letters)} → {_value(new, letters)}" for name, old, new in values]


def _value(value: JsonValue, letters: int | None) -> str:
    if value is None:
        return NOTHING
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if letters is None or len(written) <= letters else f"{written[: letters - 1]}…"


def _rejected(page: AuditPage) -> str:
    counts = ", ".join(f"{count:,} with {status}" for status, count in sorted(page.rejected.items()))
    said = (
        f"Rejected since the API started: {counts}."
        if counts
        else "No request was rejected since the API started."
    )
    return f'<p class="m-count">{text(said)}</p>'
