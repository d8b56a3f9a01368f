"""Long curves, downsampled by what their chunks say without a look at their points; called by `curves`.

The named points of all chunks of a curve come as one row of binary numbers: as many numbers as text, or as many rows,
take several times as long.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from struct import unpack
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from metadata_api.memory import charge

CHUNKS_AT_ONCE: Final = 40_000
"""Rows of `metric_points` that one statement reads; a single curve may have more."""
_CHUNK_BYTES = 400
_CHUNK_POINTS = 32
_POINTS = ("first", "last", "min", "max")
Kept = dict[int, tuple[float, float | None]]
"""Value and time by step."""


@dataclass(frozen=True)
class LongCurve:
    """The points that are kept of a curve, and whether it has some that are not finite."""

    kept: Kept
    has_non_finite: bool


def read(
    session: Session, sizes: Mapping[int, int], metric: str, buckets: int, *, timed: bool
) -> dict[int, LongCurve]:
    """Curves by their experiment's id; `sizes` are their points, of each at least as many as in `buckets` full chunks.

    Each bucket keeps its first, last, minimum and maximum point; with `timed` they have their times. Raises Unavailable
    when other requests leave no room for them.
    """
    parts = list(_parts(sizes))
    charge(max(map(_chunks, parts), default=0) * _CHUNK_BYTES)
    statement = _WITH_TIMES if timed else _WITHOUT_TIMES
    found = {}
    for part in parts:
        for id_, non_finite, *columns in session.execute(statement, {"ids": list(part), "metric": metric}):
            found[id_] = LongCurve(_kept(columns, buckets), non_finite > 0)
    return found


def _parts(sizes: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """Curves that one statement reads."""
    part: dict[int, int] = {}
    for id_, points in sizes.items():
        if part and _chunks({**part, id_: points}) > CHUNKS_AT_ONCE:
            yield part
            part = {}
        part[id_] = points
    if part:
        yield part


def _chunks(sizes: Mapping[int, int]) -> int:
    return sum(sizes.values()) // _CHUNK_POINTS


def _kept(columns: Sequence[memoryview], buckets: int) -> Kept:
    """Four points of each bucket of chunks."""
    steps = dict(zip(_POINTS, map(_integers, columns[:4]), strict=True))
    values = dict(zip(_POINTS, map(_floats, columns[4:8]), strict=True))
    times = dict(zip(_POINTS, map(_floats, columns[8:]), strict=False))
    chosen: dict[str, list[int]] = {point: [] for point in _POINTS}
    count = len(steps["first"])
    borders = (-(-bucket * count // buckets) for bucket in range(buckets + 1))
    for begin, end in pairwise(borders):
        if begin == end:
            continue
        chosen["first"].append(begin)
        chosen["last"].append(end - 1)
        lowest, highest = min(values["min"][begin:end]), max(values["max"][begin:end])
        # Where no value of a chunk is finite, there is no lowest and no highest.
        if lowest <= highest:
            chosen["min"].append(values["min"].index(lowest, begin, end))
            chosen["max"].append(values["max"].index(highest, begin, end))
    kept: Kept = {}
    for point, places in chosen.items():
        step, value, time = steps[point], values[point], times.get(point)
        # What has no time came as NaN.
        kept.update(
            (step[at], (value[at], time[at] if time and not isnan(time[at]) else None)) for at in places
        )
    return kept


def _integers(column: memoryview) -> list[int]:
    return list(unpack(f">{len(column) // 8}q", column))


def _floats(column: memoryview) -> list[float]:
    return list(unpack(f">{len(column) // 8}d", column))


def _statement(*, timed: bool) -> str:
    steps = [f"int8send(coalesce({point}_step, 0))" for point in _POINTS]
    values = [
        "float8send(first_value)",
        "float8send(last_value)",
        "float8send(coalesce(min_value, 'Infinity'))",
        "float8send(coalesce(max_value, '-Infinity'))",
    ]
    times = [f"float8send(coalesce({point}_time, 'NaN'))" for point in _POINTS] if timed else []
    columns = ", ".join(f"string_agg({one}, '' order by first_step)" for one in (*steps, *values, *times))
    return (
        f"select experiment_id, sum(non_finite), {columns} from metric_points "
        "where experiment_id = any(:ids) and metric = :metric group by experiment_id"
    )


_WITH_TIMES, _WITHOUT_TIMES = text(_statement(timed=True)), text(_statement(timed=False))
