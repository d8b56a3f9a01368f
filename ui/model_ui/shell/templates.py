"""The Jinja environment of the pages, with the filters that all templates share."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from model_ui.render import markup
from model_ui.shell.addressing import address


@cache
def environment() -> Environment:
    """Templates of `model_ui/templates`; every value is escaped, and an unknown name is an error."""
    made = Environment(
        loader=PackageLoader("model_ui", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"number": markup.number, "percent": markup.percent, "moment": moment, "value": value}
    made.filters |= {"duration": duration, "size": size, "milliseconds": markup.milliseconds}
    made.globals |= {"address": address}
    return made


def moment(at: datetime | None, seconds: bool = False) -> Markup:
    """A point in time in UTC, which the page's script writes in the visitor's own time; of events with seconds."""
    if at is None:
        return Markup('<span class="m-soft">–</span>')
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    exact = at.isoformat(timespec="seconds")
    shown = f"{at:%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{at:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}" title="{} UTC"{}>{}</time>').format(
        exact, f"{at:%Y-%m-%d %H:%M:%S}", Markup(" data-seconds") if seconds else "", shown
    )


def value(found: Any) -> Markup:
    """A parameter or tag as people write it: numbers short, texts as they are."""
    if found is None:
        return Markup('<span class="m-soft">–</span>')
    if isinstance(found, bool):
        return Markup("true" if found else "false")
    if isinstance(found, int | float):
        return Markup('<span class="m-number">{}</span>').format(markup.number(found))
    return escape(str(found))


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(found: int) -> str:
    """Bytes as `812 bytes`, `1.4 kB`, `23 MB`."""
    if found < 1000:
        return "1 byte" if found == 1 else f"{found} bytes"
    amount = float(found)
    for unit in ("kB", "MB"):
        amount /= 1000
        if amount < 999.5:
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{amount / 1000:,.1f} GB"
