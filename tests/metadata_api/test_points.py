"""Curves that grow while a training runs: any appends in any order are what a dictionary by step would be."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from metadata_api import curves, directions, experiments, points
from metadata_api.curves import Curve
from metadata_api.database.session import Sessions
from metadata_api.schemas import experiments as bodies
from tests.metadata_api.conftest import row_counts

STEPS = st.integers(-60, 200) | st.sampled_from([-(2**53), 2**53])
VALUES = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1.0]) | st.floats(-5, 5).map(
    lambda value: value + 0.0
)  # no -0.0
TIMES = st.none() | st.floats(0, 2e9)
APPENDS = st.lists(st.lists(st.tuples(STEPS, VALUES, TIMES), max_size=90), max_size=6)


def create(api: httpx.Client, name: str = "net", **more: Any) -> None:
    """A running experiment."""
    api.post("/v1/experiments", json={"name": name, "state": "running", **more}).raise_for_status()


def append(api: httpx.Client, **by_metric: Any) -> httpx.Response:
    """Append points, by metric a list of values or {steps, values, times}."""
    made = {
        metric: one if isinstance(one, dict) else {"steps": list(range(len(one))), "values": one}
        for metric, one in by_metric.items()
    }
    return api.post("/v1/experiments/net/points", json={"points": made})


def loss(api: httpx.Client, **query: Any) -> dict[str, Any]:
    """The curve of `net` as it is read."""
    found: dict[str, Any] = api.get("/v1/curves", params={"experiment": "net", **query}).json()["curves"][0]
    return found


def stored(session: Session, metric: str) -> dict[int, tuple[float, float | None]]:
    """All points of the only experiment, straight from the chunks, which must be whole and in order."""
    rows = session.execute(
        text("select * from metric_points where metric = :metric order by first_step"), {"metric": metric}
    ).all()
    steps = [step for row in rows for step in row.steps]
    assert steps == sorted(set(steps)), "chunks do not overlap"
    for row in rows:
        times = row.times or [None] * row.points
        part = Curve(row.steps, row.values, times)
        made = curves.chunk(row.experiment_id, metric, part)
        assert repr(made) == repr({key: getattr(row, key) for key in made}), "a chunk says what is in it"
        assert row.points <= curves.CHUNK_POINTS
    return {
        step: (value, time)
        for row in rows
        for step, value, time in zip(row.steps, row.values, row.times or [None] * row.points, strict=True)
    }


class TestAsADictionary:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(appends=APPENDS, metric=st.sampled_from(["loss", "accuracy"]))
    def test_any_sequence_of_appends_is_what_a_dictionary_would_be(
        self, sessions: Sessions, appends: list[list[tuple[int, float, float | None]]], metric: str
    ) -> None:
        model: dict[int, tuple[float, float | None]] = {}
        with sessions() as session:
            experiments.create(session, bodies.NewExperiment(name="net", state="running"))
            for part in appends:
                steps, values, times = (
                    (list(column) for column in zip(*part, strict=True)) if part else ([], [], [])
                )
                new = bodies.NewPoints(steps=steps, values=values, times=times)
                body = bodies.AppendedPoints(points={metric: new})
                points.append(session, "net", body)
                again = points.append(session, "net", body)
                assert (again.added, again.changed) == (0, 0)
                model |= {step: (value, time) for step, value, time in part}
                assert repr(stored(session, metric)) == repr(dict(sorted(model.items())))
            found = experiments.show(session, "net").metrics
            session.rollback()
        if not model:
            assert found == {}
            return
        curve = Curve(sorted(model), [model[step][0] for step in sorted(model)])
        expected = curves.summary(curve, directions.of(metric, {}))
        assert found[metric].model_dump() == expected

    def test_late_steps_one_by_one_leave_chunks_that_are_half_full_at_least(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        create(api)
        for step in range(100, 0, -1):
            assert append(api, loss={"steps": [step], "values": [step]}).status_code == 200
        assert loss(api)["steps"] == list(range(1, 101))
        assert row_counts(engine)["metric_points"] <= 100 / 16 + 1


def test_several_metrics_come_at_once_and_are_summarised_at_once(api: httpx.Client) -> None:
    create(api)
    answer = append(api, **{"loss": [3, 1, 2], "val/accuracy": [0.5, 0.9, 0.7]})
    assert answer.status_code == 200
    body = answer.json()
    assert (body["added"], body["changed"]) == (6, 0)
    shown = api.get("/v1/experiments/net").json()
    assert shown["metrics"] == body["metrics"]
    assert [shown["metrics"][name]["best"] for name in ("loss", "val/accuracy")] == [1, 0.9]
    assert shown["points_at"]


def test_points_continue_the_curve_that_came_with_the_experiment(api: httpx.Client) -> None:
    create(api, curves={"loss": {"steps": [0, 1], "values": [5, 4]}})
    append(api, loss={"steps": [1, 2], "values": [3, 2]})
    assert (loss(api)["steps"], loss(api)["values"]) == ([0, 1, 2], [5, 3, 2])


def test_a_worse_value_in_place_of_the_best_leaves_the_next_best(api: httpx.Client) -> None:
    create(api)
    append(api, loss=[3.0, 1.0, 2.0])
    body = append(api, loss={"steps": [1], "values": [9.0]}).json()
    assert (body["added"], body["changed"]) == (0, 1)
    assert (body["metrics"]["loss"]["best"], body["metrics"]["loss"]["best_step"]) == (2.0, 2)


def test_the_same_request_again_changes_nothing(api: httpx.Client, engine: Engine) -> None:
    create(api)
    once = {"steps": [1, 2, 2], "values": [1.5, "NaN", None], "times": [1.7e9, 1.7e9 + 1, None]}
    append(api, loss=once)
    before = api.get("/v1/experiments/net").json(), row_counts(engine)
    assert append(api, loss=once).json()["added"] == 0
    assert (api.get("/v1/experiments/net").json(), row_counts(engine)) == before


def test_values_that_json_has_no_number_for_are_taken_as_python_writes_them_and_as_text(
    api: httpx.Client,
) -> None:
    create(api)
    body = '{"points": {"loss": {"steps": [1, 2, 3, 4, 5], "values": [NaN, "-Infinity", null, 1e999, 0.5]}}}'
    answer = api.post(
        "/v1/experiments/net/points", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200
    assert answer.json()["metrics"]["loss"]["best"] == 0.5
    assert [one["value"] for one in loss(api)["non_finite"]] == ["NaN", "-Infinity", "NaN", "Infinity"]


class TestByTime:
    def test_points_come_in_the_order_of_their_times(self, api: httpx.Client) -> None:
        create(api)
        times = [1_700_000_300, "2023-11-14T22:13:20Z", None, "2023-11-14T22:14:20"]
        append(api, loss={"steps": [1, 2, 3, 4], "values": [1, 2, 3, "NaN"], "times": times})
        curve = loss(api, x="time")
        assert curve["times"] == [1_700_000_000, 1_700_000_060, 1_700_000_300]
        assert (curve["steps"], curve["values"]) == ([2, 4, 1], [2, None, 1])
        assert curve["non_finite"] == [{"step": 4, "value": "NaN", "time": 1_700_000_060}]
        assert curve["points"] == 4
        assert "times" not in loss(api)

    def test_a_long_curve_keeps_the_times_of_what_it_keeps(self, api: httpx.Client) -> None:
        create(api)
        steps = list(range(10_000))
        values = [math.sin(step / 500) for step in steps]
        append(api, loss={"steps": steps, "values": values, "times": [1000 + step / 8 for step in steps]})
        curve = loss(api, x="time", points=400)
        assert 100 < len(curve["steps"]) <= 400
        assert curve["times"] == [1000 + step / 8 for step in curve["steps"]]
        assert max(values) in curve["values"]


class TestPolling:
    def test_a_curve_that_nobody_appended_to_is_a_304_without_a_body(self, api: httpx.Client) -> None:
        create(api)
        append(api, loss=[1.0])
        first = api.get("/v1/curves?experiment=net")
        known = {"If-None-Match": first.headers["etag"]}
        second = api.get("/v1/curves?experiment=net", headers=known)
        assert (second.status_code, second.content, second.headers["etag"]) == (
            304,
            b"",
            first.headers["etag"],
        )
        assert api.get("/v1/curves?experiment=net&points=10", headers=known).status_code == 200
        append(api, loss=[2.0])
        third = api.get("/v1/curves?experiment=net", headers=known)
        assert (third.status_code, third.json()["curves"][0]["values"]) == (200, [2.0])


class TestRejected:
    def test_an_experiment_that_has_ended_takes_points_once_it_runs_again(self, api: httpx.Client) -> None:
        api.post("/v1/experiments", json={"name": "net"})
        answer = append(api, loss=[1.0])
        assert (answer.status_code, answer.json()["error"]) == (409, "experiment_ended")
        assert '"running"' in answer.json()["detail"]
        api.patch("/v1/experiments/net", json={"state": "running"}).raise_for_status()
        assert append(api, loss=[1.0]).status_code == 200

    @pytest.mark.parametrize(
        ("one", "status", "word"),
        [
            ({"steps": [1, 2], "values": [1]}, 400, "as many"),
            ({"steps": [1], "values": [1], "times": []}, 400, "as many"),
            ({"steps": [1], "values": [1], "times": [1e12]}, 400, "since 1970"),
            ({"steps": [1], "values": [1], "times": ["yesterday"]}, 422, "times"),
            ({"steps": [2**53 + 1], "values": [1]}, 422, "steps"),
            ({"steps": [1.5], "values": [1]}, 422, "steps"),
            ({"steps": [1], "values": ["high"]}, 422, "values"),
            ({"steps": list(range(20_001)), "values": [0] * 20_001}, 422, "20,000"),
            ({"steps": [1], "values": [1], "colour": "red"}, 422, "colour"),
        ],
    )
    def test_what_makes_no_points_is_a_4xx_and_stores_nothing(
        self, api: httpx.Client, engine: Engine, one: dict[str, Any], status: int, word: str
    ) -> None:
        create(api)
        before = row_counts(engine)
        answer = append(api, loss=one, other=[1.0])
        assert answer.status_code == status, answer.text
        assert word in answer.json()["detail"]
        assert row_counts(engine) == before

    def test_a_curve_has_a_greatest_length_and_an_experiment_a_number_of_metrics(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(points, "MAX_CURVE_POINTS", 3)
        monkeypatch.setattr(points, "MAX_METRICS", 1)
        create(api)
        assert append(api, loss=[1, 2, 3]).status_code == 200
        assert append(api, loss=[9, 9]).status_code == 200
        assert append(api, loss=[1, 2, 3, 4]).json()["error"] == "curve_too_long"
        assert append(api, accuracy=[1]).json()["error"] == "too_many_metrics"
        assert loss(api)["values"] == [9, 9, 3]

    def test_a_name_that_nobody_has(self, api: httpx.Client) -> None:
        assert append(api, loss=[1.0]).json()["error"] == "experiment_unknown"

    def test_nothing_at_all_is_no_fault(self, api: httpx.Client) -> None:
        create(api)
        assert append(api).json() == {"experiment": "net", "added": 0, "changed": 0, "metrics": {}}
        assert append(api, loss=[]).json()["metrics"] == {}


def test_many_who_append_to_one_experiment_lose_nothing(api: httpx.Client) -> None:
    create(api)
    begin = threading.Barrier(8)

    def write(writer: int) -> None:
        begin.wait()
        for number in range(10):
            names = ("a", "b", "c") if writer % 2 else ("c", "b", "a")
            step = number * 8 + writer
            answer = append(api, **{name: {"steps": [step], "values": [step]} for name in names})
            assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    for name in "abc":
        assert loss(api, metric=name)["values"] == list(range(80))


def test_points_are_no_entries_of_the_audit_log(api: httpx.Client) -> None:
    create(api)
    append(api, loss=[1.0])
    assert [one["route"] for one in api.get("/v1/audit").json()["items"]] == ["POST /v1/experiments"]
