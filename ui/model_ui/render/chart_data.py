"""Curves as the page's script draws them: JSON inside the page, which `assets/chart.js` reads."""

import json
from collections.abc import Sequence

from markupsafe import Markup

from model_ui.api_types import Curve, Curves
from model_ui.render.colours import colour

# All lines of a chart together have about so many points; each of a few has at most FINEST.
POINTS, FINEST, COARSEST = 8000, 400, 60


def points(curves: int) -> int:
    """How many points each of so many curves is worth."""
    return max(COARSEST, min(FINEST, POINTS // max(1, curves)))


def script(found: Curves, names: Sequence[str], x: str) -> Markup:
    """A `<script>` with the curves that have a point, in the colours of their places among `names`."""
    places = {name: place for place, name in enumerate(names)}
    curves = [_curve(curve, places.get(curve.experiment, 0), x) for curve in found.curves if curve.steps]
    written = json.dumps({"x": x, "metric": found.metric, "curves": curves}, separators=(",", ":"))
    # Inside an element of HTML nothing may look like its end.
    return Markup('<script type="application/json" data-curves>{}</script>').format(
        Markup(written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
    )


def _curve(curve: Curve, place: int, x: str) -> dict[str, object]:
    by_time = x == "time" and len(curve.times) == len(curve.steps)
    lost = [
        {"x": point.time if by_time and point.time is not None else point.step, "value": point.value}
        for point in curve.non_finite
    ]
    return {
        "name": curve.experiment,
        "title": curve.display_name or curve.experiment,
        "colour": colour(place),
        "xs": [_short(at) for at in (curve.times if by_time else curve.steps)],
        "values": [None if value is None else _short(value) for value in curve.values],
        "lost": lost,
    }


def _short(value: float) -> float | int:
    """A number as briefly as JSON has it, in seven digits; times keep their milliseconds."""
    if value == int(value):
        return int(value)
    return round(value, 3) if abs(value) > 1e6 else float(f"{value:.7g}")
