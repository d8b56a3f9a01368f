"""The deployments of the fake API, and the routes for them; it has no aliases."""

from collections import Counter
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tests.ui.fake_answers import HOSTILE, NONE, NOW, error
from tests.ui.fake_experiments import NAMES
from tests.ui.fake_kinds import DIGITS

LOGS = {"mlp-small": ["v2 Traceback (most recent call last):", f"v2 KeyError: {HOSTILE}"]}


def observed(state: str, version: int | None, reason: str | None = None) -> dict[str, Any]:
    """What is observed of a deployment as the API writes it."""
    return {"state": state, "version": version, "reason": reason, "containment": None, "since": NOW}


def deployment(name: str, **changes: Any) -> dict[str, Any]:
    """One deployment as the API shows it."""
    version = changes.get("version", 1)
    return {
        "name": name,
        "experiment": name,
        "version": 1,
        "runtime": "torchserve",
        "environment": "base",
        "state": "ready",
        "replicas": 1,
        "resources": None,
        "startup_seconds": None,
        "response_seconds": None,
        "batch_size": None,
        "batch_delay_ms": None,
        "recording": {"rate": 0.0, "answers": True, "retention_days": None},
        "owner": "api",
        "desired": "running",
        "observed": observed("ready", version),
        "ready": True,
        "traffic": None,
        "previous_version": None,
        "archive_settings": None,
        "url": f"http://127.0.0.1:8080/v2/models/{name}",
        **DIGITS,
        "created_at": NOW,
        "updated_at": NOW,
        **changes,
    }


def detail(deployment: dict[str, Any]) -> dict[str, Any]:
    """A deployment as the API shows it alone, with what happened to it."""
    return {**in_a_word(deployment), "events": []}


def in_a_word(deployment: dict[str, Any]) -> dict[str, Any]:
    """A deployment with its state in one word, as what is observed makes it."""
    state = deployment["observed"]["state"]
    return {**deployment, "state": "changing" if state in ("starting", "pending") else state}


def first() -> dict[str, dict[str, Any]]:
    """Those that are there at first."""
    found = {name: deployment(name) for name in NAMES}
    found["cnn-fast"] |= {"version": 3, "previous_version": 2, "observed": observed("ready", 3)}
    reason = f"the worker died while loading: {HOSTILE}"
    found["mlp-small"] |= {"ready": False, "observed": observed("failed", None, reason)}
    return found


def add_routes(app: FastAPI, deployments: dict[str, dict[str, Any]]) -> None:
    """To the fake's application."""

    @app.get("/v1/deployments/{name}/logs")
    def log(name: str, lines: int = 100) -> dict[str, Any]:
        part = {"pod": None, "lines": LOGS.get(name, [])[-lines:]}
        return {"deployment": name, "parts": [part]}

    @app.get("/v1/deployments")
    def listing() -> dict[str, Any]:
        items = [in_a_word(item) for _, item in sorted(deployments.items())]
        counts = Counter(item["state"] for item in items)
        found = {"items": items, "total": len(items), "counts": counts, "next": None, "unregistered": []}
        return {**found, "runtimes": ["torchserve", "native"]}

    @app.get("/v1/deployments/{name}")
    def show(name: str) -> Any:
        found = deployments.get(name)
        unknown = error(404, "deployment_unknown", f"There is no deployment {name}.")
        return unknown if found is None else detail(found)

    @app.post("/v1/deployments", status_code=201)
    async def create(request: Request) -> Any:
        body = await request.json()
        name = body.get("name") or body["experiment"]
        if name in deployments:
            return error(409, "deployment_exists", f"{name} is deployed already. Change its version instead.")
        deployments[name] = deployment(
            name, experiment=body["experiment"], version=body.get("version") or 1, ready=False,
            runtime=body.get("runtime", "torchserve"),
            observed=observed("starting", None, "loading"),
        )  # fmt: skip
        return detail(deployments[name])

    @app.patch("/v1/deployments/{name}")
    async def change(name: str, request: Request) -> Any:
        item, version = deployments[name], (await request.json())["version"]
        item |= {"previous_version": item["version"], "version": version}
        item["observed"] = {**item["observed"], "version": version}
        return detail(item)

    @app.post("/v1/deployments/{name}/{verb}")
    def act(name: str, verb: str) -> Any:
        item = deployments[name]
        if verb == "rollback":
            item |= {"previous_version": item["version"], "version": item["previous_version"]}
            item["observed"] = {**item["observed"], "version": item["version"]}
        else:
            state = "stopped" if verb == "stop" else "ready"
            item |= {"desired": "stopped" if verb == "stop" else "running", "ready": verb == "start"}
            version = item["version"] if verb == "start" else None
            item["observed"] = observed(state, version)
        return detail(item)

    @app.delete("/v1/deployments/{name}", status_code=204, response_model=None)
    def remove(name: str) -> JSONResponse | None:
        if deployments.pop(name, None) is None:
            return error(404, "deployment_unknown", f"There is no deployment {name}.")
        return None

    @app.get("/v1/deployments/{name}/events")
    def events(name: str) -> dict[str, Any]:
        return NONE

    @app.get("/v1/deployments/{name}/traffic")
    def traffic(name: str, minutes: int = 15) -> dict[str, Any]:
        return {"minutes": minutes, "requests": 0, "errors": 0, "p50_ms": None, "p95_ms": None}

    @app.get("/v1/deployments/{name}/rollback")
    def preview(name: str) -> JSONResponse:
        return error(409, "no_previous_version", "There is none.")

    @app.get("/v1/aliases")
    def aliases() -> dict[str, Any]:
        return NONE
