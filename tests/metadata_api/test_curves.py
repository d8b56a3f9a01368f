"""Curves: downsampled by the database without losing ends or extremes."""

import math
import random
from collections.abc import Sequence

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api import curves, long_curves
from metadata_api.curves import Curve
from metadata_api.database.tables import Experiment, MetricPoints


def store(engine: Engine, name: str, values: Sequence[float], metric: str = "loss") -> None:
    """An experiment with this curve, one value for each step from 10 on by 10."""
    with Session(engine) as session, session.begin():
        curve = Curve([10 * number for number in range(1, len(values) + 1)], values)
        metrics = {metric: curves.summary(curve, "min")}
        row = Experiment(name=name, display_name=name.upper(), metrics=metrics)
        session.add(row)
        session.flush()
        for chunk in curves.chunks(row.id, metric, curve):
            session.add(MetricPoints(**chunk))


def read(api: httpx.Client, name: str, points: int) -> dict[int, float]:
    """A curve as step -> value."""
    answer = api.get("/v1/curves", params={"experiment": name, "points": points})
    assert answer.status_code == 200
    curve = answer.json()["curves"][0]
    assert curve["steps"] == sorted(set(curve["steps"]))
    return dict(zip(curve["steps"], curve["values"], strict=True))


def test_a_short_curve_comes_as_it_is(api: httpx.Client, engine: Engine) -> None:
    values = [random.Random(1).random() for _ in range(100)]
    store(engine, "net", values)
    assert read(api, "net", 100) == {10 * n: value for n, value in enumerate(values, 1)}


@pytest.mark.parametrize("size", [101, 500, 1000, 3199, 3200, 3201, 10_000])
@pytest.mark.parametrize("points", [4, 100])
def test_a_long_curve_keeps_first_last_least_and_greatest(
    api: httpx.Client, engine: Engine, size: int, points: int
) -> None:
    values = [random.Random(size).gauss(0, 1) for _ in range(size)]
    store(engine, "net", values)
    kept = read(api, "net", points)
    assert len(kept) <= points
    assert len(kept) >= points / 3
    assert {step: values[step // 10 - 1] for step in kept} == kept
    assert {10, 10 * size} <= kept.keys()
    assert {min(values), max(values)} <= set(kept.values())


@pytest.mark.parametrize("size", [1000, 10_000])
def test_each_bucket_keeps_its_own_extremes(api: httpx.Client, engine: Engine, size: int) -> None:
    values = [math.sin(number / size * 20) for number in range(size)]
    spikes = range(size // 20, size, size // 10)
    for spike in spikes:
        values[spike] = 100.0 + spike
    store(engine, "net", values)
    kept = read(api, "net", 400)
    assert {10 * (spike + 1) for spike in spikes} <= kept.keys()


def test_many_curves_come_in_the_order_asked_for(api: httpx.Client, engine: Engine) -> None:
    for name in ("a", "b", "c"):
        store(engine, name, [1.0, 2.0])
    found = api.get("/v1/curves", params={"experiment": ["c", "a", "c"]}).json()
    assert [(curve["experiment"], curve["display_name"]) for curve in found["curves"]] == [
        ("c", "C"),
        ("a", "A"),
    ]


def test_curves_that_one_statement_does_not_read_come_by_several(
    api: httpx.Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a", "b", "c"]
    for number, name in enumerate(names):
        store(engine, name, [math.sin(step / 50 + number) for step in range(4000)])
    together = api.get("/v1/curves", params={"experiment": names, "points": 100}).json()["curves"]
    monkeypatch.setattr(long_curves, "CHUNKS_AT_ONCE", 200)
    one_by_one = api.get("/v1/curves", params={"experiment": names, "points": 100}).json()["curves"]
    assert [len(curve["steps"]) > 50 for curve in together] == [True] * 3
    assert one_by_one == together


def test_an_experiment_without_this_metric_has_an_empty_curve(api: httpx.Client, engine: Engine) -> None:
    store(engine, "net", [1.0], metric="accuracy")
    curve = api.get("/v1/curves", params={"experiment": "net", "metric": "loss"}).json()["curves"][0]
    assert (curve["steps"], curve["values"], curve["points"]) == ([], [], 0)


def test_values_that_are_not_finite_hide_no_extreme(api: httpx.Client, engine: Engine) -> None:
    values = [1.0] * 10_000
    values[5000], values[5001], values[5002], values[5003] = math.nan, 7.0, -7.0, math.inf
    store(engine, "net", values)
    curve = api.get("/v1/curves", params={"experiment": "net", "points": 100}).json()["curves"][0]
    assert {7.0, -7.0} <= set(curve["values"])
    assert curve["non_finite"] == [{"step": 50_010, "value": "NaN"}, {"step": 50_040, "value": "Infinity"}]
    assert curve["points"] == 10_000


def test_a_curve_of_nothing_but_nan_is_read(api: httpx.Client, engine: Engine) -> None:
    store(engine, "net", [math.nan] * 5000)
    curve = api.get("/v1/curves", params={"experiment": "net"}).json()["curves"][0]
    assert set(curve["values"]) == {None}
    assert len(curve["non_finite"]) == 5000
