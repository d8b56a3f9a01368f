"""Curves of several experiments as one plotly figure; used by the Experiments page."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from model_ui.api_types import Curve, Curves

# Told apart by people with colour blindness too (Okabe and Ito), then lighter and darker ones.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31", "#2f4b7c", "#a05195",
)  # fmt: skip
MUTED = "#7d8794"
GRID = "rgba(125, 135, 148, 0.22)"
NAME_LETTERS = 32
# Crosses for lost points; a curve that is lost for good needs no more.
LOST = 50
DASHES = ("solid", "dot", "dash")


def figure(curves: Curves, *, smoothing: float = 0.0, log: bool = False) -> go.Figure:
    """All curves in one chart.

    Args:
        smoothing: weight of the past in the exponential mean, 0 (none) to under 1; the raw curve stays, paler.
        log: logarithmic values; those of 0 and below are left out, as a logarithm has no place for them.
    """
    chart = go.Figure()
    for index, curve in enumerate(curves.curves):
        _draw(chart, curve, index, smoothing, log)
    chart.update_layout(**_layout(curves, log))
    return chart


def smooth(values: Sequence[float | None], weight: float) -> list[float | None]:
    """The exponential mean, corrected for its start so that it does not lag there; gaps stay gaps."""
    mean, norm, smoothed = 0.0, 0.0, list[float | None]()
    for value in values:
        if value is None:
            smoothed.append(None)
            continue
        mean = weight * mean + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        smoothed.append(mean / norm)
    return smoothed


def _draw(chart: go.Figure, curve: Curve, index: int, smoothing: float, log: bool) -> None:
    colour = COLOURS[index % len(COLOURS)]
    dash = DASHES[index // len(COLOURS) % len(DASHES)]
    raw = [None if value is None or (log and value <= 0) else value for value in curve.values]
    title = curve.display_name or curve.experiment
    # Plotly reads a little HTML in names: what comes from the API must not be read as such.
    name = _plain(title if len(title) <= NAME_LETTERS else title[: NAME_LETTERS - 1] + "…")
    common = {"x": list(curve.steps), "mode": "lines", "legendgroup": curve.experiment, "name": name}
    if smoothing > 0:
        pale = {"color": colour, "width": 1}
        chart.add_scatter(**common, y=raw, line=pale, opacity=0.28, showlegend=False, hoverinfo="skip")
    shown = smooth(raw, smoothing) if smoothing > 0 else raw
    hover = f"{_plain(title)}<br>step %{{x}}: %{{y:.5g}}<extra></extra>"
    line = {"color": colour, "width": 2, "dash": dash}
    # A single point makes no line.
    mode = {"mode": "lines+markers"} if len(raw) == 1 else {}
    chart.add_scatter(**{**common, **mode}, y=shown, line=line, hovertemplate=hover)
    _mark_lost(chart, curve, shown, colour, common)


def _mark_lost(
    chart: go.Figure, curve: Curve, shown: Sequence[float | None], colour: str, common: dict[str, Any]
) -> None:
    """A cross where the curve was NaN or infinite, at the height of the last number before."""
    places, heights, texts = [], [], []
    for point in curve.non_finite[:LOST]:
        pairs = zip(curve.steps, shown, strict=False)
        before = [value for step, value in pairs if step <= point.step and value is not None]
        if before:
            places.append(point.step)
            heights.append(before[-1])
            texts.append(f"{common['name']}<br>step {point.step:g}: {_plain(point.value)}")
    if places:
        marks = {"x": places, "y": heights, "text": texts, "mode": "markers", "showlegend": False}
        marker = {"symbol": "x", "size": 8, "color": colour}
        chart.add_scatter(**{**common, **marks}, marker=marker, hovertemplate="%{text}<extra></extra>")


def _plain(name: str) -> str:
    return name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")


def _layout(curves: Curves, log: bool) -> dict[str, Any]:
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "ticks": "", "automargin": True}
    return {
        "height": 440,
        "margin": {"l": 8, "r": 12, "t": 16, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "IBM Plex Sans, system-ui, sans-serif", "size": 13, "color": MUTED},
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "xaxis": {**axis, "title": {"text": "step"}},
        "yaxis": {**axis, "title": {"text": _plain(curves.metric)}, "type": "log" if log else "linear"},
        # The view that someone zoomed to stays while smoothing is moved.
        "uirevision": curves.metric,
    }
