"""What can be chosen from, lists as CSV, and experiments side by side."""

import csv
import io
from typing import Any

import httpx
import pytest

from metadata_api import experiments_csv
from metadata_api.listing import choices


def make(api: httpx.Client, name: str, f1: float | None = None, **more: Any) -> None:
    """An experiment, with a value of f1."""
    curves = {} if f1 is None else {"f1": {"steps": [1, 2], "values": [f1, f1 - 0.5]}}
    api.post("/v1/experiments", json={"name": name, "curves": curves, **more}).raise_for_status()


class TestFields:
    def test_they_have_types_counts_and_ranges(self, api: httpx.Client) -> None:
        make(api, "a", 0.9, parameters={"lr": 0.1, "learning rate": True}, tags={"team": "x"})
        make(api, "b", 0.7, parameters={"lr": -2}, tags={"team": 3})
        make(api, "c", parameters={"lr": "auto"})
        exact = {"experiments_is_exact": True}
        assert api.get("/v1/fields").json()["items"] == [
            {"field": "metrics.f1", "section": "metrics", "name": "f1", "types": ["number"], "experiments": 2,
             "min": 0.7, "max": 0.9, **exact},
            {"field": 'params."learning rate"', "section": "params", "name": "learning rate", "types": ["bool"],
             "experiments": 1, "min": None, "max": None, **exact},
            {"field": "params.lr", "section": "params", "name": "lr", "types": ["number", "text"], "experiments": 3,
             "min": -2.0, "max": 0.1, **exact},
            {"field": "tags.team", "section": "tags", "name": "team", "types": ["number", "text"], "experiments": 2,
             "min": 3.0, "max": 3.0, **exact},
        ]  # fmt: skip
        assert [one["name"] for one in api.get("/v1/fields?section=tags").json()["items"]] == ["team"]

    def test_names_that_nobody_has_any_more_are_left_out(self, api: httpx.Client) -> None:
        make(api, "a", 0.9)
        api.delete("/v1/experiments/a").raise_for_status()
        assert api.get("/v1/fields").json() == {"items": []}
        assert api.get("/v1/metrics").json() == {"items": []}

    def test_many_experiments_are_not_counted_one_by_one(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(choices, "COUNTED", 2)
        for name in ("a", "b", "c"):
            make(api, name, 0.9)
        found = api.get("/v1/fields").json()["items"][0]
        assert (found["experiments"], found["experiments_is_exact"]) == (2, False)


def table(answer: httpx.Response) -> list[list[str]]:
    """Cells of a CSV."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.text)))


class TestCsv:
    def test_it_has_what_the_list_has(self, api: httpx.Client) -> None:
        make(api, "a", 0.9, parameters={"lr": -0.1, "on": True})
        make(api, "b", 0.95, parameters={"lr": 2**60})
        make(api, "c", 0.1)
        asked = {"filter": "metrics.f1 > 0.5", "sort": "-metrics.f1"}
        asked["columns"] = "metrics.f1,metrics.f1.final,params.lr,params.on"
        assert table(api.get("/v1/experiments.csv", params=asked)) == [
            ["name", "metrics.f1", "metrics.f1.final", "params.lr", "params.on"],
            ["b", "0.95", "0.44999999999999996", str(2**60), ""],
            ["a", "0.9", "0.4", "-0.1", "true"],
        ]

    def test_without_columns_it_has_all(self, api: httpx.Client) -> None:
        make(api, "a", 0.9, parameters={"lr": 1}, tags={"team x": "y"})
        head, row = table(api.get("/v1/experiments.csv"))
        assert head == [
            "name", "display_name", "created_at", "source", "state", "task", "metrics.f1", "params.lr",
            'tags."team x"',
        ]  # fmt: skip
        assert row[:2] + row[3:] == ["a", "a", "api", "finished", "", "0.9", "1", "y"]

    def test_no_cell_is_a_formula(self, api: httpx.Client) -> None:
        make(api, "a", parameters={"=x": "=1+1", "b": "-2", "c": "@x"})
        head, row = table(api.get("/v1/experiments.csv", params={"columns": 'params."=x",params.b,params.c'}))
        assert head == ["name", 'params."=x"', "params.b", "params.c"]
        assert row == ["a", "'=1+1", "'-2", "'@x"]

    def test_it_is_sent_page_by_page_up_to_the_limit(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(experiments_csv, "PAGE", 2)
        for number in range(5):
            make(api, f"net-{number}")
        for limit in (1, 2, 3, 5, 100):
            rows = table(
                api.get("/v1/experiments.csv", params={"sort": "name", "columns": "name", "limit": limit})
            )
            assert rows == [["name"], *([f"net-{number}"] for number in range(min(limit, 5)))]

    def test_what_cannot_be_read_is_a_400_and_no_file(self, api: httpx.Client) -> None:
        for query in ("filter=x", "sort=x", "columns=x"):
            answer = api.get(f"/v1/experiments.csv?{query}")
            assert (answer.status_code, answer.json()["error"]) == (400, f"bad_{query.partition('=')[0]}")

    def test_more_fields_than_a_table_can_have_must_be_chosen(self, api: httpx.Client) -> None:
        make(api, "a", parameters={f"p{number}": 1 for number in range(200)})
        answer = api.get("/v1/experiments.csv")
        assert (answer.status_code, answer.json()["error"]) == (400, "columns_missing")
        assert len(table(api.get("/v1/experiments.csv?columns=params.p1"))) == 2


class TestCompare:
    def test_only_what_differs_is_there_in_the_order_asked_for(self, api: httpx.Client) -> None:
        make(api, "a", 0.9, parameters={"lr": 1, "on": 1, "same": 2}, tags={"team": "x"})
        make(api, "b", 0.8, parameters={"lr": 2.0, "on": True, "same": 2.0}, tags={"team": "x"})
        make(api, "c", 0.9, parameters={"same": 2, "extra": "e"}, tags={"team": "x"})
        found = api.get("/v1/compare?experiment=c&experiment=a&experiment=b&experiment=a").json()
        assert [one["name"] for one in found["experiments"]] == ["c", "a", "b"]
        assert {one["name"]: one["values"] for one in found["params"]} == {
            "extra": ["e", None, None],
            "lr": [None, 1, 2.0],
            "on": [None, 1, True],
        }
        assert found["metrics"] == [
            {
                "name": "f1",
                "direction": "max",
                "best": [0.9, 0.9, 0.8],
                "final": [0.4, 0.4, pytest.approx(0.3)],
            }
        ]
        assert found["tags"] == []
        assert found["same"] == {"params": 1, "metrics": 0, "tags": 1}

    def test_one_alone_differs_from_nothing(self, api: httpx.Client) -> None:
        make(api, "a", 0.9, parameters={"lr": 1})
        found = api.get("/v1/compare?experiment=a").json()
        assert (found["params"], found["metrics"], found["tags"]) == ([], [], [])
        assert found["same"] == {"params": 1, "metrics": 1, "tags": 0}

    def test_names_that_are_not_there_are_told(self, api: httpx.Client) -> None:
        make(api, "a")
        answer = api.get("/v1/compare?experiment=a&experiment=b")
        assert (answer.status_code, answer.json()["error"]) == (404, "experiment_unknown")
        assert "There is no experiment b." in answer.json()["detail"]
        assert api.get("/v1/compare").status_code == 422
