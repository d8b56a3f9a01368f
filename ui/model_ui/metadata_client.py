"""The only door to the outside: a typed client of the metadata API, used by the callbacks of the pages."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from model_ui.api_connection import CONNECT_SECONDS, READ_SECONDS, ApiConnection
from model_ui.api_types import (
    AuditPage,
    Curves,
    Deployment,
    DeploymentLog,
    DeploymentPage,
    Experiment,
    ExperimentPage,
    ImportReport,
    IssuedToken,
    Me,
    MetricNames,
    Token,
    TokenPage,
    Unregistered,
)
from model_ui.names import segment, token_segment
from model_ui.prediction_types import Comparison
from model_ui.spec_types import Version

# The longest that a deployment may take to answer, and the way to it.
MAX_DEADLINE_MS = 605_000
# Pages wait for the check of their visitor before anything else.
ME_SECONDS = 3.0
# A CSV of the largest size is parsed and stored in one call.
IMPORT_SECONDS = 120.0
# A large archive is checked and rewritten once all of it is there.
UPLOAD_SECONDS = 300.0
# Pages of deployments that one refresh reads at most; a page that shows thousands helps no one.
DEPLOYMENT_PAGES = 5
EXPERIMENT_PAGES = 50
TOKEN_PAGES = 5


class MetadataClient(ApiConnection):
    """The calls of the Gradio pages; our own pages call `ApiConnection.call` with types of their own."""

    async def me(self) -> Me:
        """Whom the API takes the visitor for."""
        wait = httpx.Timeout(ME_SECONDS, connect=CONNECT_SECONDS)
        return await self.call(Me, "GET", "/v1/me", timeout=wait)

    async def experiments(
        self, *, limit: int = 20, search: str = "", sort: str = "-created_at", cursor: str | None = None
    ) -> ExperimentPage:
        """The first `limit` (1 to 200) experiments whose name holds `search`, or those after a cursor."""
        query = {"limit": str(limit), "sort": sort, **({"search": search} if search else {})}
        query |= {"cursor": cursor} if cursor is not None else {}
        return await self.call(ExperimentPage, "GET", "/v1/experiments", params=query)

    async def experiments_with_a_model(self) -> list[Experiment]:
        """All experiments that can be deployed, newest first."""
        pages = self.pages(ExperimentPage, "/v1/experiments", EXPERIMENT_PAGES, with_model="true")
        return [item async for page in pages for item in page.items]

    async def metric_names(self) -> list[str]:
        """Names of all recorded metrics."""
        return list((await self.call(MetricNames, "GET", "/v1/metrics")).items)

    async def experiment(self, name: str) -> Experiment:
        """One experiment by name."""
        return await self.call(Experiment, "GET", f"/v1/experiments/{segment(name)}")

    async def create_experiment(self, name: str) -> Experiment:
        """Make an experiment to which models can be uploaded."""
        return await self.call(Experiment, "POST", "/v1/experiments", json={"name": name})

    async def upload_version(self, experiment: str, content: AsyncIterator[bytes], size: int) -> Version:
        """Upload an archive of `size` bytes as the next version of an experiment; it is sent as it comes."""
        return await self.call(
            Version,
            "POST",
            f"/v1/experiments/{segment(experiment)}/versions",
            content=content,
            headers={"content-length": str(size), "content-type": "application/octet-stream"},
            timeout=httpx.Timeout(UPLOAD_SECONDS, connect=CONNECT_SECONDS),
        )

    async def version(self, experiment: str, number: int) -> Version:
        """One uploaded version of an experiment."""
        path = f"/v1/experiments/{segment(experiment)}/versions/{number:d}"
        return await self.call(Version, "GET", path)

    async def curves(self, experiments: list[str], *, metric: str = "loss", points: int = 400) -> Curves:
        """One metric of several experiments, each with at most about `points` points."""
        query = [("experiment", name) for name in experiments]
        query += [("metric", metric), ("points", str(points))]
        return await self.call(Curves, "GET", "/v1/curves", params=query)

    async def deployments(self) -> list[Deployment]:
        """All deployments by name."""
        return (await self.everything_deployed())[0]

    async def deployment(self, name: str) -> Deployment:
        """One deployment by name."""
        return await self.call(Deployment, "GET", f"/v1/deployments/{segment(name)}")

    async def runtimes(self) -> list[str]:
        """What a deployment may name as its runtime, the usual one first."""
        page = await self.call(DeploymentPage, "GET", "/v1/deployments", params={"limit": "1"})
        return list(page.runtimes)

    async def everything_deployed(self) -> tuple[list[Deployment], list[Unregistered]]:
        """All deployments by name, and what a Helm release deploys without the API knowing its version."""
        found: list[Deployment] = []
        unregistered: list[Unregistered] = []
        async for page in self.pages(DeploymentPage, "/v1/deployments", DEPLOYMENT_PAGES):
            found += page.items
            unregistered += page.unregistered
        return found, unregistered

    async def deploy(
        self, experiment: str, *, version: int | None = None, name: str = "", runtime: str = ""
    ) -> Deployment:
        """Serve a version of an experiment, by default its latest under its own name."""
        body: dict[str, str | int] = {"experiment": experiment}
        if version is not None:
            body["version"] = version
        if name:
            body["name"] = name
        if runtime:
            body["runtime"] = runtime
        return await self.call(Deployment, "POST", "/v1/deployments", json=body)

    async def deploy_again(self, removed: Deployment) -> None:
        """Bring a deployment back that was removed, with all that was set of it, and stopped if it was."""
        kept = {"name", "experiment", "version", "runtime", "replicas", "resources"}
        kept |= {"startup_seconds", "response_seconds", "batch_size", "batch_delay_ms"}
        body = removed.model_dump(include=kept)
        await self.call(Deployment, "POST", "/v1/deployments", json=body)
        if removed.desired == "stopped":
            await self.stop(removed.name)

    async def change_version(self, name: str, version: int, *, unchanged_since: str = "") -> Deployment:
        """Serve another version; with its `updated_at` only if nobody has changed it since, as below."""
        path, known = f"/v1/deployments/{segment(name)}", {"unchanged_since": unchanged_since}
        params = known if unchanged_since else None
        return await self.call(Deployment, "PATCH", path, json={"version": version}, params=params)

    async def roll_back(self, name: str) -> Deployment:
        """Serve the previous version again."""
        return await self._act(name, "rollback", "")

    async def stop(self, name: str, *, unchanged_since: str = "") -> Deployment:
        """Stop serving, keep the deployment."""
        return await self._act(name, "stop", unchanged_since)

    async def start(self, name: str, *, unchanged_since: str = "") -> Deployment:
        """Serve a stopped deployment again."""
        return await self._act(name, "start", unchanged_since)

    async def log(self, name: str, *, lines: int) -> DeploymentLog:
        """The last lines that the processes of a deployment logged."""
        return await self.call(DeploymentLog, "GET", f"/v1/deployments/{segment(name)}/logs?lines={lines}")

    async def remove(self, name: str) -> None:
        """Forget a deployment."""
        await self.request("DELETE", f"/v1/deployments/{segment(name)}")

    async def predict(
        self,
        image: bytes | None,
        body: Mapping[str, Any],
        *,
        deployments: list[str] | None = None,
        deadline_ms: int | None = None,
    ) -> Comparison:
        """Ask deployments (None means all that can take it) about an image file, else about the fields of `body`.

        `deadline_ms` None gives each of them the time that its own settings say.
        """
        # Our own wait is longer than the models' deadline: the API answers in time even when they do not.
        seconds = (deadline_ms or MAX_DEADLINE_MS) / 1000 + READ_SECONDS
        wait = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        options: dict[str, Any] = {} if deployments is None else {"deployments": deployments}
        if deadline_ms is not None:
            options["deadline_ms"] = deadline_ms
        if image is None:
            sent: dict[str, Any] = {"json": {**body, **options}}
        else:
            files = {"image": ("image", image, "application/octet-stream")}
            sent = {"data": options, "files": files}
        return await self.call(Comparison, "POST", "/v1/predictions", timeout=wait, **sent)

    async def import_csv(self, path: Path, *, filename: str, dry_run: bool = False) -> ImportReport:
        """Import experiments from a CSV file, or only check it; the file is streamed."""
        query = {"dry_run": "true" if dry_run else "false", "filename": filename}
        with path.open("rb") as source:
            return await self.call(
                ImportReport,
                "POST",
                "/v1/imports",
                params=query,
                files={"file": (filename, source, "text/csv")},
                timeout=httpx.Timeout(IMPORT_SECONDS, connect=CONNECT_SECONDS),
            )

    async def audit(self, *, subject: str = "", cursor: str | None = None, limit: int = 50) -> AuditPage:
        """The newest `limit` (1 to 200) entries of the audit log, or those after a cursor; for admins."""
        query = {"limit": str(limit)}
        query |= {"subject": subject} if subject else {}
        query |= {"cursor": cursor} if cursor is not None else {}
        return await self.call(AuditPage, "GET", "/v1/audit", params=query)

    async def tokens(self) -> list[Token]:
        """API tokens, newest first, revoked and expired ones too; for admins."""
        pages = self.pages(TokenPage, "/v1/tokens", TOKEN_PAGES)
        found = [token async for page in pages for token in page.items]
        return sorted(found, key=lambda token: token.created_at, reverse=True)

    async def issue_token(
        self, name: str, role: str, *, deployments: list[str] | None, expires_in_days: int | None
    ) -> IssuedToken:
        """Issue an API token; None means all deployments, and that it never expires. For admins."""
        body = {"name": name, "role": role, "deployments": deployments, "expires_in_days": expires_in_days}
        return await self.call(IssuedToken, "POST", "/v1/tokens", json=body)

    async def revoke_token(self, token_id: str) -> None:
        """Revoke an API token; for admins."""
        await self.request("DELETE", f"/v1/tokens/{token_segment(token_id)}")

    async def _act(self, name: str, verb: str, since: str) -> Deployment:
        params = {"unchanged_since": since} if since else None
        return await self.call(Deployment, "POST", f"/v1/deployments/{segment(name)}/{verb}", params=params)
