"""The list of experiments as CSV: what the page Experiments shows, all pages of it up to a bound."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from model_ui.api_types import Experiment, ExperimentPage
from model_ui.pages import columns, experiments
from model_ui.pages.columns import Column
from model_ui.shell.page import Page
from model_ui.shell.visit import Visit

PAGES_OF_THE_API = 25
ROWS = "200"
# What spreadsheets take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def show(visit: Visit) -> Response:
    """The rows, by default with every metric, parameter and tag that one of them has."""
    asked = {**experiments.asked(visit), "limit": ROWS}
    asked.pop("cursor", None)
    items: list[Experiment] = []
    async for page in visit.api.pages(ExperimentPage, "/v1/experiments", PAGES_OF_THE_API, **asked):
        items += page.items
    chosen = columns.parse(visit.query("columns")) or columns.every(items)
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(
        [
            "name",
            "display_name",
            "task",
            "state",
            "created_at",
            "latest_version",
            "deployments",
            *_heads(chosen),
        ]
    )
    for item in items:
        fixed = (
            item.name,
            item.display_name,
            item.task,
            item.state,
            item.created_at and item.created_at.isoformat(),
        )
        rest = (item.latest_version, " ".join(item.deployments))
        writer.writerow([_safe(cell) for cell in (*fixed, *rest, *_cells(item, chosen))])
    return visit.csv(f"\ufeff{written.getvalue()}".encode(), "experiments.csv")


def _heads(chosen: list[Column]) -> Iterator[str]:
    for column in chosen:
        yield f"{column.kind}.{column.name}"
        if column.kind == "metrics":
            yield f"{column.kind}.{column.name}.final"


def _cells(item: Experiment, chosen: list[Column]) -> Iterator[Any]:
    for column in chosen:
        yield column.of(item)
        if column.kind == "metrics":
            found = item.metrics.get(column.name)
            yield found.final if found else None


def _safe(cell: Any) -> Any:
    """A text that no spreadsheet runs; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


PAGES = (Page("/experiments.csv", show),)
