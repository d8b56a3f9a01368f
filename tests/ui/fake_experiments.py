"""The experiments of the fake API, their curves, and the routes for them."""

import math
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request

from tests.ui import fake_listing
from tests.ui.fake_answers import HOSTILE, NOW, error

LONG = "mlp-with-a-rather-long-name-for-one-line"
NAMES = ("cnn-baseline", "cnn-fast", "cnn-momentum", "mlp-small", "mlp-poor", LONG)


def experiment(name: str, **changes: Any) -> dict[str, Any]:
    """One experiment as the API shows it."""
    return {
        "name": name,
        "display_name": name,
        "description": "",
        "parameters": {"learning_rate": 0.05, "momentum": 0.9, "batch_size": 64, "epochs": 2},
        "tags": {},
        "metrics": {
            "loss": summary("min", final=0.0912, best=0.0555),
            "accuracy": summary("max", final=0.9735, best=0.981),
        },
        "source": "starter",
        "state": "finished",
        "notes": "",
        "directions": {},
        "key_metric": None,
        "created_at": NOW,
        "updated_at": NOW,
        "points_at": None,
        "ended_at": None,
        "task": "digits",
        "latest_version": 1,
        "deployments": [name],
        **changes,
    }


def summary(direction: str, *, final: float, best: float) -> dict[str, Any]:
    """That of a curve of 250 points."""
    steps = {"final_step": 249, "best_step": 231, "points": 250}
    return {"direction": direction, "final": final, "best": best, **steps}


def first() -> dict[str, dict[str, Any]]:
    """Those that are there at first, newest first."""
    found = {name: experiment(name) for name in NAMES}
    found["cnn-fast"] |= {"latest_version": 3, "parameters": {"learning_rate": 0.2, "momentum": 0.5}}
    found["mlp-poor"]["metrics"]["loss"] |= {"final": 2.2871, "best": 2.2104}
    found[LONG]["parameters"] |= {f"a_rather_long_parameter_{n}": "x" * 60 for n in range(7)}
    found["hostile"] = experiment(
        "hostile",
        display_name=HOSTILE,
        description=HOSTILE,
        parameters={HOSTILE: HOSTILE},
        task=None,
        latest_version=None,
        deployments=[],
        source="import",
    )
    return found


def add_routes(app: FastAPI, experiments: dict[str, dict[str, Any]]) -> None:
    """To the fake's application."""

    @app.get("/v1/experiments")
    def listing(
        limit: int = 20,
        search: str = "",
        cursor: int = 0,
        task: str = "",
        with_model: bool = False,
        filter: str = "",
        sort: str = "-created_at",
    ) -> Any:
        found = [
            item
            for item in experiments.values()
            if search.lower() in f"{item['name']} {item['display_name']}".lower()
            and (item["latest_version"] is not None or not with_model)
            and (not task or item["task"] == task)
        ]
        try:
            found = fake_listing.ordered(fake_listing.narrowed(found, filter), sort)
        except fake_listing.BadFilter as wrong:
            return error(400, "bad_filter", str(wrong))
        end = cursor + limit
        return {
            "items": found[cursor:end],
            "total": len(found),
            "total_is_exact": True,
            "next": str(end) if end < len(found) else None,
        }

    @app.patch("/v1/experiments/{name}")
    async def edit(name: str, request: Request, unchanged_since: datetime | None = None) -> Any:
        item, change = experiments[name], await request.json()
        before = datetime.fromisoformat(item["updated_at"])
        if unchanged_since is not None and before > unchanged_since:
            return error(409, "experiment_changed", f"Somebody changed experiment {name}.")
        item["updated_at"] = (before + timedelta(seconds=1)).isoformat()
        tags = {**item["tags"], **change.pop("tags", {})}
        item |= {**change, "tags": {key: value for key, value in tags.items() if value is not None}}
        return item

    @app.get("/v1/tasks")
    def tasks() -> dict[str, Any]:
        return {"items": sorted({item["task"] for item in experiments.values() if item["task"]})}

    @app.get("/v1/metrics")
    def metrics() -> dict[str, Any]:
        return {"items": sorted({name for item in experiments.values() for name in item["metrics"]})}

    @app.get("/v1/experiments/{name}")
    def show(name: str) -> Any:
        return experiments.get(name) or error(404, "experiment_unknown", f"There is no experiment {name}.")

    @app.get("/v1/curves")
    def curves(request: Request, metric: str = "loss") -> dict[str, Any]:
        names = request.query_params.getlist("experiment")
        return {"metric": metric, "curves": [_curve(experiments, name, metric) for name in names]}


def _curve(experiments: dict[str, dict[str, Any]], name: str, metric: str) -> dict[str, Any]:
    place = list(experiments).index(name)
    steps = list(range(250))
    floor = 1.9 if name == "mlp-poor" else 0.04 + 0.02 * place
    values: list[float | None] = [
        floor + 2.2 * math.exp(-step / (12 + 9 * place)) + 0.05 * abs(math.sin(step * 1.7 + place))
        for step in steps
    ]
    if metric == "accuracy":
        values = [1 - (value or 0) / 2.6 for value in values]
    values[100] = None
    lost = [{"step": 100, "value": "NaN"}]
    title = experiments[name]["display_name"]
    return {
        "experiment": name, "display_name": title, "steps": steps, "values": values, "points": 250,
        "non_finite": lost,
    }  # fmt: skip
