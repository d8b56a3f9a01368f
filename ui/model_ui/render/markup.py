"""Pieces of HTML of Try and the login, and how numbers are written; called by the other renderers."""

import math
from html import escape

from model_ui.api_types import Me, Role


def text(value: object) -> str:
    """Any value as text that is safe inside an element and inside a quoted attribute."""
    return escape(str(value), quote=True)


def number(value: float | None) -> str:
    """A number in at most four significant digits; a dash when there is none."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value != 0 and (abs(value) < 0.001 or abs(value) >= 1_000_000):
        return f"{value:.2e}"
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A share of 0 to 1 as a percentage that never claims certainty."""
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{share * 100:.1f} %" if share < 0.9995 else "100 %"


def milliseconds(value: float | None) -> str:
    """A duration in ms, with decimals only where they say something; a dash where it is not known."""
    if value is None:
        return "–"
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def chip(content: object, kind: str = "", title: str = "") -> str:
    """A small rounded label; `kind` is a class of the stylesheet (`ok`, `warn`, `bad`, ...)."""
    tooltip = f' title="{text(title)}"' if title else ""
    return f'<span class="m-chip {kind}"{tooltip}>{text(content)}</span>'


def note(message: str, kind: str = "info") -> str:
    """One sentence in a box: `info`, `ok`, `warn` or `bad`; bad ones are announced by screen readers at once."""
    role = "alert" if kind == "bad" else "status"
    return f'<div class="m-note {kind}" role="{role}">{text(message)}</div>'


def empty(title: str, hint: str) -> str:
    """What a place shows that has nothing to show yet, and what would fill it."""
    return f'<div class="m-empty"><strong>{text(title)}</strong><span>{text(hint)}</span></div>'


def log_in_again() -> str:
    """What stands in the place of an answer when the API does not accept the visitor's credential any more."""
    return (
        '<div class="m-note bad" role="alert">You are no longer logged in. '
        '<a href="./">Log in again</a> to go on.</div>'
    )


def role_needed(doing: str, role: Role, me: Me) -> str:
    """Why a part of the page is read-only for this visitor, in a box; `doing` begins a sentence."""
    return note(
        f"{doing} needs the role {role}; you have {me.role}. An administrator can give you another token."
    )
