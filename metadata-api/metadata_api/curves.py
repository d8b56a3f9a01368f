"""Curves of metrics: checked, cut into chunks, summarised, read back downsampled; for experiments and imports.

Downsampling keeps the first, last, minimum and maximum point of each bucket, so no extreme is lost. See
docs/adr/0005-chunked-metric-curves.md. What is appended to a curve later comes by `points`.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from metadata_api import long_curves
from metadata_api.directions import Direction
from metadata_api.long_curves import Kept
from metadata_api.memory import charge
from metadata_api.schemas import experiments as bodies

CHUNK_POINTS = 32
POINTS_PER_BUCKET = 4
MAX_STEP = 2**53
# Of all curves of a response; each has fewer of them where there are many.
MAX_POINTS = 200_000
_POINT_BYTES = 300
# Part of every tag: whoever changes what a curve looks like in a response counts it up.
_SHAPE = 1
Json = dict[str, Any]
Found = Row[Any]
"""Of an experiment: id, name, display_name, points_at."""


@dataclass(frozen=True)
class Curve:
    """Values of one metric by step; steps grow, values may be NaN or infinite.

    Times are seconds since 1970, None for a point without one; no times at all are none for every point. Raises
    ValueError with the reason when steps and values do not make a curve.
    """

    steps: Sequence[int]
    values: Sequence[float]
    times: Sequence[float | None] = ()

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise ValueError(
                f"{len(self.steps)} steps and {len(self.values)} values; there must be as many of both"
            )
        if not self.steps:
            raise ValueError("there is no point; a curve needs at least one")
        if self.steps[0] < -MAX_STEP or self.steps[-1] > MAX_STEP:
            raise ValueError(f"steps must be between -{MAX_STEP} and {MAX_STEP}")
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps must grow from point to point")


def summary(curve: Curve, direction: Direction) -> Json:
    """Direction, final and best value with their steps, None where no value is finite; of equal ones the first."""
    best = _first(curve.values, direction)
    final = curve.values[-1]
    return {
        "direction": direction,
        "final": final if math.isfinite(final) else None,
        "final_step": curve.steps[-1],
        "best": None if best is None else curve.values[best],
        "best_step": None if best is None else curve.steps[best],
        "points": len(curve.steps),
    }


def chunks(experiment_id: int, metric: str, curve: Curve) -> Iterator[Json]:
    """Rows of `metric_points`."""
    for start in range(0, len(curve.steps), CHUNK_POINTS):
        part = slice(start, start + CHUNK_POINTS)
        yield chunk(experiment_id, metric, Curve(curve.steps[part], curve.values[part], curve.times[part]))


def chunk(experiment_id: int, metric: str, part: Curve) -> Json:
    """A row of `metric_points`: of at most CHUNK_POINTS points that follow each other in a curve."""
    steps, values = list(part.steps), list(part.values)
    times = list(part.times) or [None] * len(steps)
    row = {
        "experiment_id": experiment_id,
        "metric": metric,
        "points": len(steps),
        "non_finite": sum(not math.isfinite(value) for value in values),
        "steps": steps,
        "values": values,
        "times": times if any(time is not None for time in times) else None,
    }
    named = {
        "first": 0,
        "last": len(steps) - 1,
        "min": _first(values, "min"),
        "max": _first(values, "max"),
    }
    for name, at in named.items():
        found = (None, None, None) if at is None else (steps[at], values[at], times[at])
        row |= dict(zip((f"{name}_step", f"{name}_value", f"{name}_time"), found, strict=True))
    return row


def tag(found: Sequence[Found], metric: str, points: int, x: bodies.Axis) -> str:
    """The ETag of what `read` answers: the same as long as nobody appended points. Found out before reading."""
    known = [(row.id, row.display_name, str(row.points_at)) for row in found]
    digest = hashlib.sha256(json.dumps([_SHAPE, metric, points, x, known]).encode()).hexdigest()
    return f'"{digest[:32]}"'


def _first(values: Sequence[float], direction: Direction) -> int | None:
    """Place of the first of the best finite values."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    return values.index(max(finite) if direction == "max" else min(finite))


def read(
    session: Session, found: Sequence[Found], metric: str, points: int, x: bodies.Axis = "step"
) -> bodies.Curves:
    """One metric of many experiments, each with about `points` points at the most.

    An experiment without this metric has an empty curve. All curves together have about MAX_POINTS at the most. By
    time, points are in the order of their times, and those without one are left out.
    """
    points = max(POINTS_PER_BUCKET, min(points, MAX_POINTS // len(found)))
    charge(len(found) * points * _POINT_BYTES)
    what: Json = {"metric": metric, "points": points, "buckets": max(1, points // POINTS_PER_BUCKET)}
    ids = [row.id for row in found]
    sizes: dict[int, int] = {row[0]: row[1] for row in session.execute(_SIZES, what | {"ids": ids})}
    # Of a long one its chunks say enough.
    long = {
        id_: size for id_, size in sizes.items() if size > points and size >= CHUNK_POINTS * what["buckets"]
    }
    made = long_curves.read(session, long, metric, what["buckets"], timed=x == "time")
    short = [id_ for id_ in sizes if id_ not in long]
    kept = _short(session, short, what) | {id_: curve.kept for id_, curve in made.items()}
    may_be = short + [id_ for id_, curve in made.items() if curve.has_non_finite]
    non_finite = _non_finite(session, may_be, metric, x)
    curves = [
        bodies.Curve(
            experiment=row.name,
            display_name=row.display_name,
            points=sizes.get(row.id, 0),
            non_finite=non_finite.get(row.id, []),
            **_columns(kept.get(row.id, {}), x),
        )
        for row in found
    ]
    return bodies.Curves(metric=metric, curves=curves)


def _short(session: Session, ids: Sequence[int], what: Json) -> dict[int, Kept]:
    """The points that are kept of curves, from all that they have."""
    kept: dict[int, Kept] = defaultdict(dict)
    rows = session.execute(_BUCKETS, what | {"ids": ids}) if ids else ()
    for id_, first, lowest, highest, last in rows:
        named = (point for point in (lowest, highest) if point[1] is not None)
        kept[id_].update((int(step), (value, time)) for value, step, time in named)
        kept[id_].update((int(step), (value, time)) for step, value, time in (first, last))
    return kept


def _non_finite(
    session: Session, ids: Sequence[int], metric: str, x: bodies.Axis
) -> dict[int, list[bodies.NonFinite]]:
    found: dict[int, list[bodies.NonFinite]] = defaultdict(list)
    rows = session.execute(_NON_FINITE, {"ids": ids, "metric": metric}) if ids else ()
    for id_, step, value, time in rows:
        if x == "step" or time is not None:
            shown = time if x == "time" else None
            found[id_].append(bodies.NonFinite(step=step, value=_name(value), time=shown))
    return found


def _columns(kept: Kept, x: bodies.Axis) -> Json:
    """Steps and values in the order of the axis, with times where that is the axis."""
    order = sorted(kept)
    if x == "time":
        timed = [(time, step) for step, (_, time) in kept.items() if time is not None]
        order = [step for _, step in sorted(timed)]
    values = [kept[step][0] for step in order]
    return {
        "steps": order,
        "values": [value if math.isfinite(value) else None for value in values],
        "times": [kept[step][1] for step in order] if x == "time" else None,
    }


def _name(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# How long a curve is stands in its experiment's summary.
_SIZES = text("""
select id, cast(metrics #>> array[:metric, 'points'] as bigint)
from experiments where id = any(:ids) and jsonb_exists(metrics, :metric)
""")
# Of arrays the first part decides, so minimum and maximum come with their steps and times. A curve that fits as it is
# has a bucket for each point.
_BUCKETS = text("""
with size as (
    select id as experiment_id, cast(metrics #>> array[:metric, 'points'] as bigint) as points
    from experiments where id = any(:ids)
),
by_point as (
    select experiment_id,
        case when size.points <= :points then at.place
             else at.place * :buckets / size.points end as bucket,
        at.step::float8 as step, at.value, at.time
    from size, lateral (
        select step, value, time, before + nr - 1 as place
        from (
            select steps, values, coalesce(times, array_fill(null::float8, array[points])) as times,
                sum(points) over (order by first_step) - points as before
            from metric_points where experiment_id = size.experiment_id and metric = :metric
        ) as chunk, unnest(steps, values, times) with ordinality as point(step, value, time, nr)
    ) as at
)
select experiment_id, min(array[step, value, time]),
    coalesce(min(array[value, step, time]) filter (where abs(value) < 'Infinity'), array[null, null, null]::float8[]),
    coalesce(max(array[value, step, time]) filter (where abs(value) < 'Infinity'), array[null, null, null]::float8[]),
    max(array[step, value, time])
from by_point group by experiment_id, bucket
""")

_NON_FINITE = text("""
select experiment_id, point.step, point.value, point.time
from metric_points, unnest(steps, values, times) as point(step, value, time)
where metric = :metric and experiment_id = any(:ids) and non_finite > 0 and not abs(point.value) < 'Infinity'
order by experiment_id, point.step
limit 10000
""")
