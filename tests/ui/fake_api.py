"""A metadata API that answers from memory, for tests of what the pages do with its answers.

It keeps to the JSON of the real one: every answer is held against the real one's OpenAPI document. It can be told to
misbehave. The browser test against the real system is `test_browser.py`.
"""

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from model_ui.api_types import ROLES
from tests import contract
from tests.ui import fake_deployments, fake_experiments
from tests.ui.fake_answers import error
from tests.ui.fake_audit import FakeAudit
from tests.ui.fake_callers import NOBODY, needed
from tests.ui.fake_imports import FakeImports
from tests.ui.fake_kinds import KINDS
from tests.ui.fake_labels import FakeLabels
from tests.ui.fake_models import FakeModels
from tests.ui.fake_predictions import FakePredictions
from tests.ui.fake_scores import FakeScores


class FakeApi:
    """State of the fake and its routes in `app`; `away` makes every route answer 503 `database_unavailable`.

    `tokens` says whom each token stands for; None is an API without authentication, whose GET /v1/me needs no database.
    `unauthenticated` and `forbidden` name requests that are answered so whoever sends them, as `METHOD path`.
    `wrong` says what was answered that the real API would not; `presented` holds the credentials of all requests.
    `audit` is what only admins see, `models` are the archives, `labels` is the queue and what is said of it.
    `experiments` and `deployments` are as the API shows them, by name.
    """

    def __init__(self) -> None:
        self.experiments: dict[str, dict[str, Any]] = {}
        self.deployments: dict[str, dict[str, Any]] = {}
        self.predictions = FakePredictions()
        self.imports = FakeImports()
        self.models = FakeModels()
        self.labels = FakeLabels()
        self.scores = FakeScores()
        self.audit = FakeAudit()
        self.reset()
        self.app = FastAPI()
        self.app.middleware("http")(self._maybe_away)
        self._me_route()
        fake_experiments.add_routes(self.app, self.experiments)
        fake_deployments.add_routes(self.app, self.deployments)
        self.predictions.add_routes(self.app, self.deployments)
        self.imports.add_routes(self.app, self.experiments)
        self.models.add_routes(self.app, self.experiments)
        self.labels.add_routes(self.app)
        self.scores.add_routes(self.app)
        self.audit.add_routes(self.app)

    def reset(self) -> None:
        """Forget what was done to it."""
        for own, first in (
            (self.experiments, fake_experiments.first()),
            (self.deployments, fake_deployments.first()),
        ):
            own.clear()
            own.update(first)
        for part in (self.predictions, self.imports, self.models, self.labels, self.audit):
            part.reset()
        self.away = False
        self.tokens: dict[str, dict[str, Any]] | None = None
        self.unauthenticated: set[str] = set()
        self.forbidden: set[str] = set()
        self.presented: list[tuple[str, str | None]] = []
        self.wrong: list[str] = []
        self.calls: list[str] = []

    def add_kinds(self, *names: str) -> None:
        """Deploy models of other kinds, by default one or more of each."""
        for name in names or KINDS:
            self.deployments[name] = fake_deployments.deployment(name, **KINDS[name])

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
        if not answer.headers.get("content-type", "").startswith(("image/", "application/octet-stream")):
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

    def _me_route(self) -> None:
        @self.app.get("/v1/me")
        def show(request: Request) -> Any:
            # A test may have revoked it since it was let through.
            return self._caller(request) or error(401, "unauthenticated", "The token was revoked.")
