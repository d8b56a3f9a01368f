"""Experiments as a table with checkboxes; used by the Experiments page."""

from collections.abc import Collection, Iterable

from model_ui.api_types import Experiment, ExperimentPage
from model_ui.render.markup import chip, empty, link, moment, number, text

# Further parameters are in the tooltip and in the JSON.
PARAMETERS = 8
LISTED = 60


def runs(
    page: ExperimentPage,
    *,
    chosen: Collection[str],
    metric: str,
    api: str,
    searched: bool,
    before: int = 0,
) -> str:
    """HTML table of experiments.

    Args:
        chosen: names whose boxes are ticked.
        metric: the metric of the columns "final" and "best".
        api: address of the API as the browser reaches it; empty means no links.
        searched: whether a search filtered the list, which changes what an empty one means.
        before: how many experiments the pages before this one have.
    """
    if not page.items:
        if searched:
            return empty("Nothing found", "No experiment has this text in its name or description.")
        return empty("No experiments yet", "Import a CSV, or register a model through the API.")
    rows = "".join(_row(item, item.name in chosen, metric, api) for item in page.items)
    first = f"{before + 1:,} to {before + len(page.items):,}" if before else f"{len(page.items):,}"
    count = f"{first} of {page.total:,}"
    name = text(metric)
    return (
        f'<div class="m-table-wrap"><table class="m-table m-runs"><caption>{count} experiments, newest first</caption>'
        f'<thead><tr><th scope="col"><span class="m-hidden">Chosen</span></th><th scope="col">Experiment</th>'
        f'<th scope="col">Parameters</th><th scope="col" class="num">Final {name}</th>'
        f'<th scope="col" class="num">Best {name}</th><th scope="col">Model</th><th scope="col">Created (UTC)</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def metric_names(known: Iterable[str]) -> list[str]:
    """Metrics in the order in which they are offered, loss first."""
    return sorted({*known, "loss"}, key=lambda name: (name != "loss", name))


def title(item: Experiment) -> str:
    """What people call it."""
    return item.display_name or item.name


def _row(item: Experiment, chosen: bool, metric: str, api: str) -> str:
    found = item.metrics.get(metric)
    final = number(found.final) if found else "–"
    best = number(found.best) if found else "–"
    step = f"<small>at {number(found.best_step)}</small>" if found and found.best_step is not None else ""
    name = text(item.name)
    label = text(title(item))
    below = f'<span class="m-sub">{name}</span>' if title(item) != item.name else ""
    words = text(item.description or "")
    about = f'<span class="m-sub m-about" title="{words}">{words}</span>' if words else ""
    return (
        f'<tr class="{"chosen" if chosen else ""}"><td class="pick"><input type="checkbox" data-name="{name}" '
        f'aria-label="Show the curve of {label}"{" checked" if chosen else ""}></td>'
        f'<th scope="row"><span class="m-name" title="{label}">{label}</span>{below}{about}</th>'
        f'<td data-label="Parameters"><span class="m-chips">{_parameters(item)}</span></td>'
        f'<td class="num" data-label="Final {text(metric)}">{final}</td>'
        f'<td class="num" data-label="Best {text(metric)}">{best} {step}</td>'
        f'<td data-label="Model"><span class="m-links">{_model(item, api)}</span></td>'
        f'<td data-label="Created">{moment(item.created_at)}</td></tr>'
    )


def _parameters(item: Experiment) -> str:
    shown = list(item.parameters.items())
    chips = [
        f'<span class="m-chip param" title="{text(key)} = {text(value)}"><span>{text(key)}</span> '
        f"{text(_value(value))}</span>"
        for key, value in shown[:PARAMETERS]
    ]
    if len(shown) > PARAMETERS:
        rest = ", ".join(f"{key} = {value}" for key, value in shown[PARAMETERS:LISTED])
        rest += ", ..." if len(shown) > LISTED else ""
        chips.append(chip(f"+{len(shown) - PARAMETERS}", "quiet", rest))
    return "".join(chips) or "–"


def _value(value: bool | int | float | str | None) -> str:
    if isinstance(value, float):
        return number(value)
    return str(value)


def _model(item: Experiment, api: str) -> str:
    parts = []
    if item.deployments:
        names = text(", ".join(item.deployments))
        opens = 'class="m-link" data-open="deployments"'
        parts.append(f'<button type="button" {opens} title="{names}">deployed</button>')
    if item.latest_version is not None:
        if api:
            address = f"{api}/artifacts/{item.name}/{item.latest_version}/{item.name}.mar"
            parts.append(link(f"v{item.latest_version} .mar", address))
        else:
            parts.append(chip(f"v{item.latest_version}", "quiet"))
    if api:
        parts.append(link("JSON", f"{api}/v1/experiments/{item.name}"))
    return "".join(parts) or "–"
