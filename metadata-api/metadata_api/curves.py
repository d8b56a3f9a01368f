"""Curves of metrics: checked, cut into chunks, summarised, read back downsampled; for experiments and imports.

Downsampling keeps the first, last, minimum and maximum point of each bucket, so no extreme is lost. See
docs/adr/0005-chunked-metric-curves.md.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from metadata_api import directions
from metadata_api.database.tables import Experiment
from metadata_api.errors import NotFound
from metadata_api.memory import charge
from metadata_api.schemas import experiments as bodies

CHUNK_POINTS = 32
POINTS_PER_BUCKET = 4
MAX_STEP = 2**53
# Of all curves of a response; each has fewer of them where there are many.
MAX_POINTS = 200_000
_POINT_BYTES = 300
Json = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """Values of one metric by step; steps grow, values may be NaN or infinite.

    Raises ValueError with the reason when steps and values do not make a curve.
    """

    steps: Sequence[int]
    values: Sequence[float]

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


def summary(metric: str, curve: Curve) -> Json:
    """Final and best value with their steps, None where no value is finite.

    Best is the lowest or the highest, as `directions` says.
    """
    best_of = max if directions.of(metric) == "max" else min
    finite = [
        (value, -step) for step, value in zip(curve.steps, curve.values, strict=True) if math.isfinite(value)
    ]
    best = best_of(finite) if finite else (None, 0)
    final = curve.values[-1]
    return {
        "final": final if math.isfinite(final) else None,
        "final_step": curve.steps[-1],
        "best": best[0],
        "best_step": -best[1] if finite else None,
        "points": len(curve.steps),
    }


def chunks(experiment_id: int, metric: str, curve: Curve) -> Iterator[Json]:
    """Rows of `metric_points`."""
    for number, start in enumerate(range(0, len(curve.steps), CHUNK_POINTS)):
        steps = list(curve.steps[start : start + CHUNK_POINTS])
        values = list(curve.values[start : start + CHUNK_POINTS])
        finite = [(value, step) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
        lowest, highest = (min(finite), max(finite)) if finite else ((None, None), (None, None))
        yield {
            "experiment_id": experiment_id,
            "metric": metric,
            "chunk": number,
            "points": len(steps),
            "non_finite": len(steps) - len(finite),
            "first_step": steps[0],
            "first_value": values[0],
            "last_step": steps[-1],
            "last_value": values[-1],
            "min_step": lowest[1],
            "min_value": lowest[0],
            "max_step": highest[1],
            "max_value": highest[0],
            "steps": steps,
            "values": values,
        }


def read(session: Session, names: Sequence[str], metric: str, points: int) -> bodies.Curves:
    """One metric of many experiments, each with about `points` points at the most; raises NotFound for a name.

    An experiment without this metric has an empty curve. All curves together have about MAX_POINTS at the most.
    """
    points = max(POINTS_PER_BUCKET, min(points, MAX_POINTS // len(names)))
    charge(len(names) * points * _POINT_BYTES)
    rows = session.execute(
        select(Experiment.id, Experiment.name, Experiment.display_name).where(Experiment.name.in_(names))
    ).all()
    found = {row.name: row for row in rows}
    if missing := [name for name in names if name not in found]:
        raise NotFound(
            "experiment_unknown", f"There is no experiment {', '.join(missing[:10])}. See /v1/experiments."
        )
    what = {"ids": [row.id for row in rows], "metric": metric, "buckets": max(1, points // POINTS_PER_BUCKET)}
    kept: dict[int, dict[int, float]] = {row.id: {} for row in rows}
    totals: dict[int, int] = {}
    for id_, total, first, lowest, highest, last in session.execute(_BUCKETS, what | {"points": points}):
        totals[id_] = total
        kept[id_].update((int(step), value) for value, step in (lowest, highest) if step is not None)
        kept[id_].update((int(step), value) for step, value in (first, last))
    non_finite: dict[int, list[bodies.NonFinite]] = {row.id: [] for row in rows}
    for id_, step, value in session.execute(_NON_FINITE, what):
        non_finite[id_].append(bodies.NonFinite(step=step, value=_name(value)))
    curves = []
    for name in dict.fromkeys(names):
        row = found[name]
        steps = sorted(kept[row.id])
        values = [kept[row.id][step] for step in steps]
        curves.append(
            bodies.Curve(
                experiment=name,
                display_name=row.display_name,
                steps=steps,
                values=[value if math.isfinite(value) else None for value in values],
                points=totals.get(row.id, 0),
                non_finite=non_finite[row.id],
            )
        )
    return bodies.Curves(metric=metric, curves=curves)


def _name(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


# A pair as an array sorts by its first part, so minimum and maximum come with their steps. Long curves are grouped by
# chunks, short ones point by point; a curve that fits as it is has a bucket for each point.
_BUCKETS = text("""
with size as (
    select experiment_id, count(*) as chunks, sum(points) as points
    from metric_points where metric = :metric and experiment_id = any(:ids) group by experiment_id
),
by_point as (
    select experiment_id, size.points as total,
        case when size.points <= :points then at.place
             else at.place * :buckets / size.points end as bucket,
        at.step::float8 as step, at.value
    from metric_points join size using (experiment_id),
        lateral (select step, value, chunk * 32 + nr - 1 as place
                 from unnest(steps, values) with ordinality as point(step, value, nr)) as at
    where metric = :metric and (size.chunks < :buckets or size.points <= :points)
)
select experiment_id, size.points::bigint,
    min(array[first_step::float8, first_value]),
    coalesce(min(array[min_value, min_step::float8]) filter (where min_step is not null), array[null, null]::float8[]),
    coalesce(max(array[max_value, max_step::float8]) filter (where max_step is not null), array[null, null]::float8[]),
    max(array[last_step::float8, last_value])
from metric_points join size using (experiment_id)
where metric = :metric and size.chunks >= :buckets and size.points > :points
group by experiment_id, size.points, chunk * :buckets / size.chunks
union all
select experiment_id, total::bigint,
    min(array[step, value]),
    coalesce(min(array[value, step]) filter (where abs(value) < 'Infinity'), array[null, null]::float8[]),
    coalesce(max(array[value, step]) filter (where abs(value) < 'Infinity'), array[null, null]::float8[]),
    max(array[step, value])
from by_point group by experiment_id, total, bucket
""")

_NON_FINITE = text("""
select experiment_id, point.step, point.value
from metric_points, unnest(steps, values) as point(step, value)
where metric = :metric and experiment_id = any(:ids) and non_finite > 0 and not abs(point.value) < 'Infinity'
order by experiment_id, point.step
limit 10000
""")
