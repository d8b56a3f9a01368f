"""A metadata API that answers from memory, for tests of what the pages do with its answers.

It keeps to the JSON of the real one: every answer is held against the real one's OpenAPI document. It can be told to
misbehave. The browser test against the real system is `test_browser.py`.
"""

import asyncio
import base64
import csv
import io
import json
import math
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import JSONResponse, Response
from PIL import Image

from model_ui.api_types import ROLES
from tests import contract
from tests.ui import fake_listing
from tests.ui.fake_audit import FakeAudit
from tests.ui.fake_details import FakeDetails
from tests.ui.fake_kinds import DIGITS, KINDS, answer
from tests.ui.fake_labels import FakeLabels
from tests.ui.fake_models import FakeModels
from tests.ui.fake_scores import FakeScores

LABELS = [str(digit) for digit in range(10)]
NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC).isoformat()
LONG = "mlp-with-a-rather-long-name-for-one-line"
HOSTILE = "<img src=x onerror=\"document.title='stolen'\"> {{value}} ${alert(1)} `x`"


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
        "latest_version": 1,
        "deployments": [name],
        **changes,
    }


def summary(direction: str, *, final: float, best: float) -> dict[str, Any]:
    """That of a curve of 250 points."""
    steps = {"final_step": 249, "best_step": 231, "points": 250}
    return {"direction": direction, "final": final, "best": best, **steps}


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


NOBODY = {"subject": "anonymous", "role": "admin", "kind": "none", "expires_at": None, "deployments": None}


def token(role: str, number: int = 1) -> str:
    """An API token as the real one makes them; each number is another one."""
    return f"mrn_{number:012x}_{role:_<43}"


def me(role: str, **changes: Any) -> dict[str, Any]:
    """Whom the API takes a token for."""
    return {
        "subject": f"a {role}",
        "role": role,
        "kind": "token",
        "expires_at": None,
        "deployments": None,
        **changes,
    }


def needed(method: str, path: str) -> str:
    """The role that a request needs."""
    if path.startswith(("/v1/audit", "/v1/tokens")):
        return "admin"
    if path.endswith("/logs"):
        return "deployer"
    if method == "GET":
        return "viewer"
    return {"predictions": "annotator", "inputs": "annotator", "deployments": "deployer"}.get(
        path.split("/")[2], "publisher"
    )


def detail(deployment: dict[str, Any]) -> dict[str, Any]:
    """A deployment as the API shows it alone, with what happened to it."""
    return {**in_a_word(deployment), "events": []}


def in_a_word(deployment: dict[str, Any]) -> dict[str, Any]:
    """A deployment with its state in one word, as what is observed makes it."""
    state = deployment["observed"]["state"]
    return {**deployment, "state": "changing" if state in ("starting", "pending") else state}


class FakeApi:
    """State of the fake and its routes in `app`; `away` makes every route answer 503 `database_unavailable`.

    `tokens` says whom each token stands for; None is an API without authentication, whose GET /v1/me needs no database.
    `unauthenticated` and `forbidden` name requests that are answered so whoever sends them, as `METHOD path`.
    `held` lets questions about images wait; `images` are those that were asked about.
    `wrong` says what was answered that the real API would not; `presented` holds the credentials of all requests.
    `audit` is what only admins see, `models` are the archives, `labels` is the queue and what is said of it.
    """

    def __init__(self) -> None:
        self.audit = FakeAudit()
        self.models = FakeModels()
        self.labels = FakeLabels()
        self.scores = FakeScores()
        self.details = FakeDetails()
        self.reset()
        self.app = FastAPI()
        self.app.middleware("http")(self._maybe_away)
        for module in (
            self._me_route,
            self._experiment_routes,
            self._deployment_routes,
            self._prediction_routes,
            self._import_routes,
        ):
            module()
        self.audit.add_routes(self.app)
        self.details.add_routes(self.app)
        self.labels.add_routes(self.app)
        self.scores.add_routes(self.app)
        self.models.add_routes(self.app, self._experiments)

    def reset(self) -> None:
        """Forget what was done to it."""
        names = ["cnn-baseline", "cnn-fast", "cnn-momentum", "mlp-small", "mlp-poor", LONG]
        self.experiments = {name: experiment(name) for name in names}
        self.experiments["cnn-fast"] |= {
            "latest_version": 3,
            "parameters": {"learning_rate": 0.2, "momentum": 0.5},
        }
        self.experiments["mlp-poor"]["metrics"]["loss"] |= {"final": 2.2871, "best": 2.2104}
        self.experiments[LONG]["parameters"] |= {f"a_rather_long_parameter_{n}": "x" * 60 for n in range(7)}
        self.experiments["hostile"] = experiment(
            "hostile",
            display_name=HOSTILE,
            description=HOSTILE,
            parameters={HOSTILE: HOSTILE},
            latest_version=None,
            deployments=[],
            source="import",
        )
        self.deployments = {name: deployment(name) for name in names}
        self.deployments["cnn-fast"] |= {
            "version": 3,
            "previous_version": 2,
            "observed": observed("ready", 3),
        }
        self.deployments["mlp-small"] |= {
            "ready": False,
            "observed": observed("failed", None, f"the worker died while loading: {HOSTILE}"),
        }
        self.logs = {"mlp-small": ["v2 Traceback (most recent call last):", f"v2 KeyError: {HOSTILE}"]}
        self.audit.reset()
        self.details.reset()
        self.models.reset()
        self.labels.reset()
        self.questions: list[dict[str, Any]] = []
        self.away = False
        self.tokens: dict[str, dict[str, Any]] | None = None
        self.unauthenticated: set[str] = set()
        self.forbidden: set[str] = set()
        self.presented: list[tuple[str, str | None]] = []
        self.wrong: list[str] = []
        self.calls: list[str] = []
        self.asked: list[list[str]] = []
        self.images: list[bytes] = []
        self.held = False

    def add_kinds(self, *names: str) -> None:
        """Deploy models of other kinds, by default one or more of each."""
        for name in names or KINDS:
            self.deployments[name] = deployment(name, **KINDS[name])

    async def _maybe_away(self, request: Request, go_on: Any) -> Any:
        self.calls.append(f"{request.method} {request.url.path}")
        self.presented.append((self.calls[-1], request.headers.get("authorization")))
        if self.away and (self.tokens is not None or request.url.path != "/v1/me"):
            return error(503, "database_unavailable", "The database does not answer. Try again in a moment.")
        if rejection := self._rejection(request):
            return rejection
        answer = await go_on(request)
        content = b"".join([part async for part in answer.body_iterator])
        # What was asked about comes as it is.
        if not answer.headers.get("content-type", "").startswith("image/"):
            body = json.loads(content) if content else None
            self.wrong += contract.faults(request.method, request.url.path, answer.status_code, body)
        return Response(content, answer.status_code, dict(answer.headers))

    def _rejection(self, request: Request) -> JSONResponse | None:
        if self.tokens is None:
            return None
        caller = self._caller(request)
        if caller is None or f"{request.method} {request.url.path}" in self.unauthenticated:
            return error(
                401, "unauthenticated", "This credential is unknown, expired or revoked. Use another."
            )
        role = needed(request.method, request.url.path)
        if f"{request.method} {request.url.path}" in self.forbidden:
            return error(403, "forbidden", f"This needs the role {role} for this deployment.")
        if ROLES.index(caller["role"]) < ROLES.index(role):
            words = (
                f"This needs the role {role}; {caller['subject']} has {caller['role']}. Ask an admin for it."
            )
            return error(403, "forbidden", words)
        return None

    def _caller(self, request: Request) -> dict[str, Any] | None:
        if self.tokens is None:
            return NOBODY
        return self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    def _experiments(self, name: str = "") -> dict[str, Any]:
        """All experiments, or a new one of a name."""
        if not name:
            return self.experiments
        return experiment(name, latest_version=None, deployments=[], metrics={}, source="api")

    def _me_route(self) -> None:
        @self.app.get("/v1/me")
        def show(request: Request) -> Any:
            # A test may have revoked it since it was let through.
            return self._caller(request) or error(401, "unauthenticated", "The token was revoked.")

    def _experiment_routes(self) -> None:
        @self.app.get("/v1/experiments")
        def listing(
            limit: int = 20,
            search: str = "",
            cursor: int = 0,
            with_model: bool = False,
            filter: str = "",
            sort: str = "-created_at",
        ) -> Any:
            found = [
                item
                for item in self.experiments.values()
                if search.lower() in f"{item['name']} {item['display_name']}".lower()
                and (item["latest_version"] is not None or not with_model)
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

        @self.app.patch("/v1/experiments/{name}")
        async def edit(name: str, request: Request) -> Any:
            item, change = self.experiments[name], await request.json()
            tags = {**item["tags"], **change.pop("tags", {})}
            item |= {**change, "tags": {key: value for key, value in tags.items() if value is not None}}
            return item

        @self.app.get("/v1/aliases")
        def aliases() -> dict[str, Any]:
            return {"items": [], "total": 0, "next": None}

        @self.app.get("/v1/metrics")
        def metrics() -> dict[str, Any]:
            return {"items": sorted({name for item in self.experiments.values() for name in item["metrics"]})}

        @self.app.get("/v1/experiments/{name}")
        def show(name: str) -> Any:
            return self.experiments.get(name) or error(
                404, "experiment_unknown", f"There is no experiment {name}."
            )

        @self.app.get("/v1/curves")
        def curves(request: Request, metric: str = "loss") -> dict[str, Any]:
            names = request.query_params.getlist("experiment")
            return {"metric": metric, "curves": [self._curve(name, metric) for name in names]}

    def _curve(self, name: str, metric: str) -> dict[str, Any]:
        place = list(self.experiments).index(name)
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
        title = self.experiments[name]["display_name"]
        return {
            "experiment": name, "display_name": title, "steps": steps, "values": values, "points": 250,
            "non_finite": lost,
        }  # fmt: skip

    def _deployment_routes(self) -> None:
        @self.app.get("/v1/deployments/{name}/logs")
        def log(name: str, lines: int = 100) -> dict[str, Any]:
            part = {"pod": None, "lines": self.logs.get(name, [])[-lines:]}
            return {"deployment": name, "parts": [part]}

        @self.app.get("/v1/deployments")
        def listing() -> dict[str, Any]:
            items = [in_a_word(item) for _, item in sorted(self.deployments.items())]
            counts = Counter(item["state"] for item in items)
            found = {"items": items, "total": len(items), "counts": counts, "next": None, "unregistered": []}
            return {**found, "runtimes": ["torchserve", "native"]}

        @self.app.get("/v1/deployments/{name}")
        def show(name: str) -> Any:
            found = self.deployments.get(name)
            unknown = error(404, "deployment_unknown", f"There is no deployment {name}.")
            return unknown if found is None else detail(found)

        @self.app.post("/v1/deployments", status_code=201)
        async def create(request: Request) -> Any:
            body = await request.json()
            name = body.get("name") or body["experiment"]
            if name in self.deployments:
                return error(
                    409, "deployment_exists", f"{name} is deployed already. Change its version instead."
                )
            self.deployments[name] = deployment(
                name, experiment=body["experiment"], version=body.get("version") or 1, ready=False,
                runtime=body.get("runtime", "torchserve"),
                observed=observed("starting", None, "loading"),
            )  # fmt: skip
            return detail(self.deployments[name])

        @self.app.patch("/v1/deployments/{name}")
        async def change(name: str, request: Request) -> Any:
            item, version = self.deployments[name], (await request.json())["version"]
            item |= {"previous_version": item["version"], "version": version}
            item["observed"] = {**item["observed"], "version": version}
            return detail(item)

        @self.app.post("/v1/deployments/{name}/{verb}")
        def act(name: str, verb: str) -> Any:
            item = self.deployments[name]
            if verb == "rollback":
                item |= {"previous_version": item["version"], "version": item["previous_version"]}
                item["observed"] = {**item["observed"], "version": item["version"]}
            else:
                state = "stopped" if verb == "stop" else "ready"
                item |= {"desired": "stopped" if verb == "stop" else "running", "ready": verb == "start"}
                version = item["version"] if verb == "start" else None
                item["observed"] = observed(state, version)
            return detail(item)

        @self.app.delete("/v1/deployments/{name}", status_code=204, response_model=None)
        def remove(name: str) -> JSONResponse | None:
            if self.deployments.pop(name, None) is None:
                return error(404, "deployment_unknown", f"There is no deployment {name}.")
            return None

    def _prediction_routes(self) -> None:
        @self.app.post("/v1/predictions")
        async def predict(request: Request) -> Any:
            body, deployments = await self._question(request)
            self.asked.append(deployments)
            while self.held:
                await asyncio.sleep(0.02)
            if gone := set(deployments) - self.deployments.keys():
                return error(404, "deployment_unknown", f"There is no deployment {', '.join(sorted(gone))}.")
            size: dict[str, Any] = {}
            if "image" in body:
                try:
                    size = dict(
                        zip(("width", "height"), Image.open(io.BytesIO(body["image"])).size, strict=True)
                    )
                except OSError:
                    return error(415, "image_unreadable", "This is not a PNG or JPEG.")
            running = [name for name, item in self.deployments.items() if item["desired"] == "running"]
            names = deployments or running
            taking = [name for name in names if fits(self.deployments[name], body)]
            results = [self._answer(name, body) for name in taking]
            passed = [
                {
                    "deployment": name, "experiment": self.deployments[name]["experiment"],
                    "reason": "takes_other_kind", "detail": "It takes another kind of input.",
                }
                for name in names if name not in taking
            ]  # fmt: skip
            kind = next(iter(body))
            return {
                "id": str(uuid.uuid4()),
                "input": {
                    "sha256": "0" * 64, "kind": kind, "media_type": "image/png", "size": 100, "summary": size,
                    "url": "/v1/inputs/0",
                },
                "deadline_ms": 5000,
                "results": results,
                "not_asked": passed,
                "agreements": [],
            }  # fmt: skip

    async def _question(self, request: Request) -> tuple[dict[str, Any], list[str]]:
        """What a prediction is about, and the deployments that it names."""
        if request.headers["content-type"].startswith("multipart/"):
            async with request.form() as form:
                image = await form["image"].read()  # type: ignore[union-attr]
                self.images.append(image)
                return {"image": image}, [str(name) for name in form.getlist("deployments")]
        body = await request.json()
        self.questions.append(body)
        names = body.pop("deployments", [])
        body.pop("deadline_ms", None)
        return body, names

    def _answer(self, name: str, question: dict[str, Any]) -> dict[str, Any]:
        item = self.deployments[name]
        row = {
            "prediction_id": str(uuid.uuid4()), "deployment": name, "alias": None, "experiment": item["experiment"],
            "task": item["task"], "version": item["observed"]["version"], "status": "ok", "kind": "probabilities",
            "label": None, "probabilities": None, "number": None, "unit": None, "text": None, "boxes": None,
            "tensors": None, "latency_ms": 3.7 + len(name) / 3, "cold": False, "preprocessed": None, "warning": None,
            "error": None,
        }  # fmt: skip
        if not item["ready"]:
            fault = {"error": "model_not_ready", "detail": f"{name} is not ready: {HOSTILE}"}
            return row | {"status": "error", "error": fault}
        if item["experiment"] in KINDS:
            return row | answer(item["experiment"], question)
        label, sure = ("3", 0.41) if name == "mlp-poor" else ("5", 0.93)
        rest = (1 - sure) / 9
        shares: list[dict[str, Any]] = [
            {"label": other, "probability": sure if other == label else rest} for other in LABELS
        ]
        shares.sort(key=lambda share: share["probability"], reverse=True)
        seen = seen_image(Image.open(io.BytesIO(question["image"])).convert("L"))
        return row | {"label": label, "probabilities": shares, "preprocessed": seen}

    def _import_routes(self) -> None:
        @self.app.post("/v1/imports", status_code=201)
        async def import_csv(file: UploadFile, filename: str = "", dry_run: bool = False) -> Any:
            text = (await file.read()).decode("utf-8", "replace")
            rows = list(csv.DictReader(io.StringIO(text)))
            if not rows:
                return error(400, "csv_empty", "The file holds no rows.")
            good, problems = [], []
            for line, row in enumerate(rows, 2):
                try:
                    float(row["Learning Rate"])
                    good.append(row["Experiment Name"])
                except ValueError:
                    reason = f"{row['Learning Rate']!r} is not a number"
                    problems.append({"line": line, "column": "Learning Rate", "reason": reason})
            if not dry_run:
                for name in good:
                    self.experiments[name] = experiment(
                        name, source="import", latest_version=None, deployments=[]
                    )
            return self.details.keep({
                "id": None, "filename": filename, "dry_run": dry_run, "accepted": len(good), "unchanged": 0,
                "rejected": len(problems), "problems": problems, "experiments": good, "created_at": NOW,
                "reasons": [],
            })  # fmt: skip


def fits(item: dict[str, Any], question: dict[str, Any]) -> bool:
    """Whether a deployment takes what is asked."""
    kind = {"row": "table", "tensors": "tensor"}
    asked = next(iter(question))
    return bool(item["inputs"][0]["kind"] == kind.get(asked, asked))


def error(status: int, code: str, detail: str) -> JSONResponse:
    """An error as the API writes it."""
    return JSONResponse({"error": code, "detail": detail}, status)


def seen_image(image: Image.Image) -> str:
    """Base64 of the 28 x 28 PNG that a model would see, white on black."""
    small = image.resize((28, 28), Image.Resampling.BOX)
    if small.tobytes()[0] > 127:
        small = small.point([255 - level for level in range(256)])
    content = io.BytesIO()
    small.save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()
