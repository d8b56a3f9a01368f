"""What an entry of the audit log changed, in short; used by the page Activity."""

import json
from collections.abc import Sequence

from markupsafe import Markup
from pydantic import JsonValue

from model_ui.api_types import AuditEntry, Change
from model_ui.render.markup import text

# Changes of an entry, fields of a change and letters of a value; what is more folds away, or is in the tooltip.
CHANGES = 4
FIELDS = 6
LETTERS = 60
NOTHING = "–"


def changes_of(entry: AuditEntry) -> Markup:
    """What an entry changed, as a list; each value is escaped."""
    return Markup(_changes(entry.changes))


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
    row = f"<b>{text(change.table)}</b>{f' {text(change.key)}' if change.key else ''}"
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
    if value in (None, ""):
        return NOTHING
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if letters is None or len(written) <= letters else f"{written[: letters - 1]}…"
