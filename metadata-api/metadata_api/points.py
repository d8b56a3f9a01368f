"""Points that come while a training runs: merged into the curves of an experiment; called by its route.

A curve is what a dictionary by step would be: a later value takes the place of an earlier one, steps come in any order.
Only the chunks that get points are read and written, so that an append costs the same on a long curve. Those who
append to one experiment wait for each other at its row, and take no other lock.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from metadata_api import curves, directions
from metadata_api.curves import CHUNK_POINTS, Curve
from metadata_api.database.tables import Experiment, MetricPoints
from metadata_api.directions import Direction
from metadata_api.errors import Conflict, Invalid, NotFound
from metadata_api.memory import charge
from metadata_api.schemas import experiments as bodies

MAX_CURVE_POINTS = 1_000_000
MAX_METRICS = 500
_POINT_BYTES = 600
_KEY = ("experiment_id", "metric", "first_step")
Json = dict[str, Any]
Points = dict[int, tuple[float, float | None]]
"""Value and time by step."""


def append(session: Session, name: str, new: bodies.AppendedPoints) -> bodies.Appended:
    """Merge points into the curves of a running experiment; the same points again change nothing.

    Raises NotFound, Conflict for one that does not run, Invalid for points that make no curve or one that is too long.
    """
    given = {metric: _points(metric, one) for metric, one in new.points.items()}
    given = {metric: points for metric, points in given.items() if points}
    charge(sum(map(len, given.values())) * _POINT_BYTES)
    row = _locked(session, name)
    if len(row.metrics.keys() | given.keys()) > MAX_METRICS:
        detail = f"An experiment may have {MAX_METRICS} metrics. Log fewer, or another experiment."
        raise Invalid("too_many_metrics", detail)
    last = _last_chunks(session, row.id, list(given))
    merges = [
        _Merge(metric, points, _chunks(session, row.id, metric, points, last.get(metric)), last.get(metric))
        for metric, points in sorted(given.items())
    ]
    merges = [merge for merge in merges if merge.added or merge.changed]
    for merge in merges:
        before = row.metrics.get(merge.metric, {}).get("points", 0)
        if before + merge.added > MAX_CURVE_POINTS:
            detail = (
                f"The curve {merge.metric} would have over {MAX_CURVE_POINTS:,} points. Log every tenth step."
            )
            raise Invalid("curve_too_long", detail)
    _write(session, row.id, merges)
    summaries = {merge.metric: _summary(session, row, merge) for merge in merges}
    if summaries:
        _note(session, row.id, summaries)
    shown = {metric: summaries.get(metric) or row.metrics[metric] for metric in given}
    return bodies.Appended(
        experiment=name,
        added=sum(merge.added for merge in merges),
        changed=sum(merge.changed for merge in merges),
        metrics={metric: bodies.MetricSummary(**found) for metric, found in shown.items()},
    )


def best(session: Session, experiment_id: int, metric: str, direction: Direction) -> Json:
    """As a summary has them: the best finite value of a stored curve and its first step, from what the chunks say."""
    value, step = (getattr(MetricPoints, f"{direction}_{what}") for what in ("value", "step"))
    mine = select(value, step).where(
        MetricPoints.experiment_id == experiment_id, MetricPoints.metric == metric, step.is_not(None)
    )
    found = session.execute(
        mine.order_by(value.desc() if direction == "max" else value, step).limit(1)
    ).one_or_none()
    return {"best": found and found[0], "best_step": found and found[1]}


class _Merge:
    """The chunks of one curve that get points, before and after."""

    def __init__(self, metric: str, new: Points, chunks: Sequence[Points], last: Points | None) -> None:
        """`chunks` are those that get points, in order; `last` is the last of the whole curve."""
        self.metric = metric
        self.new = new
        self.added = self.changed = 0
        self.parts: list[Points] = []
        self.gone: list[int] = []
        firsts = [min(chunk) for chunk in chunks]
        shares: list[Points] = [{} for _ in chunks] or [{}]
        for step, point in new.items():
            # What is before the first chunk goes into it.
            shares[max(0, bisect_right(firsts, step) - 1)][step] = point
        for old, share in zip(chunks or [{}], shares, strict=True):
            self._merge(old, share, at_end=last is None or min(old) == min(last))

    def _merge(self, old: Points, share: Points, *, at_end: bool) -> None:
        different = {step: point for step, point in share.items() if not _same(old.get(step), point)}
        if not different:
            return
        merged = old | different
        self.added += len(merged) - len(old)
        self.changed += len(different) - (len(merged) - len(old))
        steps = sorted(merged)
        # At the end, chunks are filled one after the other; elsewhere they are left room for what comes there next.
        count = math.ceil(len(steps) / CHUNK_POINTS)
        size = CHUNK_POINTS if at_end else math.ceil(len(steps) / count)
        self.parts += (
            {step: merged[step] for step in steps[at : at + size]} for at in range(0, len(steps), size)
        )
        if old and steps[0] != min(old):
            self.gone.append(min(old))


def _points(metric: str, new: bodies.NewPoints) -> Points:
    """By step; of a step that is there twice, what comes later."""
    times = new.times if new.times is not None else [None] * len(new.steps)
    if not len(new.steps) == len(new.values) == len(times):
        counts = f"{len(new.steps)} steps, {len(new.values)} values and {len(times)} times"
        raise Invalid("bad_points", f"The points of {metric} have {counts}. Send as many of each.")
    values = (math.nan if value is None else value for value in new.values)
    return dict(
        zip(new.steps, zip(values, (_seconds(metric, time) for time in times), strict=True), strict=True)
    )


def _seconds(metric: str, time: float | datetime | None) -> float | None:
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if time is not None and not abs(time) < 1e11:
        raise Invalid("bad_points", f"A time of {metric} is none: write seconds since 1970, or ISO 8601.")
    return time


def _same(one: tuple[float, float | None] | None, other: tuple[float, float | None]) -> bool:
    if one is None or one[1] != other[1]:
        return False
    return one[0] == other[0] or (math.isnan(one[0]) and math.isnan(other[0]))


def _locked(session: Session, name: str) -> Any:
    """Id, metrics and directions of a running experiment, to which nobody else appends until the transaction ends."""
    columns = (Experiment.id, Experiment.state, Experiment.metrics, Experiment.directions)
    query = select(*columns).where(Experiment.name == name).with_for_update(key_share=True)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            "experiment_unknown", f"There is no experiment {name}. Create it by POST /v1/experiments."
        )
    if row.state != "running":
        raise Conflict(
            "experiment_ended",
            f'Experiment {name} is {row.state}, and takes no points. Set its state to "running" by PATCH first.',
        )
    return row


def _last_chunks(session: Session, experiment_id: int, metrics: Sequence[str]) -> dict[str, Points]:
    rows = session.execute(_LAST, {"id": experiment_id, "metrics": list(metrics)})
    return {row.metric: _read(row) for row in rows}


def _chunks(
    session: Session, experiment_id: int, metric: str, points: Points, last: Points | None
) -> list[Points]:
    """Those that get points: each step goes into the chunk that begins before it, else into the first."""
    if last is None or min(points) >= min(last):
        return [] if last is None else [last]
    what = {"id": experiment_id, "metric": metric, "wanted": sorted(points)}
    return [_read(row) for row in session.execute(_TOUCHED, what)]


def _read(row: Any) -> Points:
    times = row.times or [None] * len(row.steps)
    return dict(zip(row.steps, zip(row.values, times, strict=True), strict=True))


def _write(session: Session, experiment_id: int, merges: Sequence[_Merge]) -> None:
    rows = [
        curves.chunk(experiment_id, merge.metric, _curve(part)) for merge in merges for part in merge.parts
    ]
    for merge in merges:
        if merge.gone:
            mine = (MetricPoints.experiment_id == experiment_id, MetricPoints.metric == merge.metric)
            session.execute(delete(MetricPoints).where(*mine, MetricPoints.first_step.in_(merge.gone)))
    if rows:
        session.execute(
            _STORE, {"id": experiment_id, "rows": orjson.dumps([_named(row) for row in rows]).decode()}
        )


def _named(row: Json) -> Json:
    """A chunk whose values that are not finite are texts: JSON has no numbers for them."""
    if not row["non_finite"]:
        return row
    values = [value if math.isfinite(value) else str(value) for value in row["values"]]
    ends = {"first_value": values[0], "last_value": values[-1]}
    return row | ends | {"values": values}


def _curve(part: Points) -> Curve:
    values, times = zip(*part.values(), strict=True)
    return Curve(list(part), values, times)


def _summary(session: Session, row: Any, merge: _Merge) -> Json:
    """The summary of a curve after a merge, from the one before and the new points alone wherever that is possible."""
    new = _curve(dict(sorted(merge.new.items())))
    direction = directions.of(merge.metric, row.directions)
    mine, old = curves.summary(new, direction), row.metrics.get(merge.metric)
    if old is None:
        return mine
    found = {**old, "direction": direction, "points": old["points"] + merge.added}
    if mine["final_step"] >= old["final_step"]:
        found |= {key: mine[key] for key in ("final", "final_step")}
    lost = old["best"] is not None and merge.new.get(old["best_step"], (old["best"],))[0] != old["best"]
    if lost or old.get("direction") != direction:
        # Where the best point got another value, the next best is looked for.
        found |= best(session, row.id, merge.metric, direction)
    elif mine["best"] is not None and _is_first(direction, mine, old):
        found |= {key: mine[key] for key in ("best", "best_step")}
    return found


def _is_first(direction: Direction, one: Json, other: Json) -> bool:
    if other["best"] is None:
        return True
    if one["best"] == other["best"]:
        return bool(one["best_step"] < other["best_step"])
    return bool((one["best"] > other["best"]) == (direction == "max"))


def _note(session: Session, experiment_id: int, summaries: Json) -> None:
    session.execute(_NOTE, {"id": experiment_id, "changed": json.dumps(summaries)})


_CHUNK = "metric, steps, values, times"
# All chunks are one parameter: one for each of their numbers takes several times as long.
_COLUMNS = [column.key for column in MetricPoints.__table__.columns]
_STORE = text(f"""
insert into metric_points ({", ".join(_COLUMNS)})
select {", ".join(_COLUMNS)} from json_populate_recordset(cast(null as metric_points), cast(:rows as json))
on conflict ({", ".join(_KEY)}) do update set
    {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in _KEY)}
""")
_LAST = text(f"""
select {_CHUNK} from unnest(cast(:metrics as text[])) as wanted(name), lateral (
    select {_CHUNK} from metric_points where experiment_id = :id and metric = wanted.name
    order by first_step desc limit 1
) as chunk
""")
_TOUCHED = text(f"""
select {_CHUNK} from metric_points where experiment_id = :id and metric = :metric and first_step in (
    select coalesce(
        (select max(first_step) from metric_points
         where experiment_id = :id and metric = :metric and first_step <= wanted.step),
        (select min(first_step) from metric_points where experiment_id = :id and metric = :metric))
    from unnest(cast(:wanted as bigint[])) as wanted(step)
) order by first_step
""")
# No statement of the mapper: points are not written into the audit log, as each is its own record.
_NOTE = text("""
update experiments set metrics = metrics || cast(:changed as jsonb),
    points_at = greatest(clock_timestamp(), points_at + interval '1 microsecond')
where id = :id
""")
