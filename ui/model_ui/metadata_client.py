"""The only door to the outside: a typed client of the metadata API, used by the pages, the login and Try."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from model_ui.api_connection import CONNECT_SECONDS, READ_SECONDS, ApiConnection
from model_ui.api_types import (
    Deployment,
    DeploymentPage,
    Experiment,
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
# A large archive is checked and rewritten once all of it is there.
UPLOAD_SECONDS = 300.0
# Pages of deployments that one refresh reads at most; a page that shows thousands helps no one.
DEPLOYMENT_PAGES = 5
TOKEN_PAGES = 5


class MetadataClient(ApiConnection):
    """The calls that several callers share; a page calls `ApiConnection.call` with types of its own."""

    async def me(self) -> Me:
        """Whom the API takes the visitor for."""
        wait = httpx.Timeout(ME_SECONDS, connect=CONNECT_SECONDS)
        return await self.call(Me, "GET", "/v1/me", timeout=wait)

    async def metric_names(self) -> list[str]:
        """Names of all recorded metrics."""
        return list((await self.call(MetricNames, "GET", "/v1/metrics")).items)

    async def experiment(self, name: str) -> Experiment:
        """One experiment by name."""
        return await self.call(Experiment, "GET", f"/v1/experiments/{segment(name)}")

    async def upload_version(
        self, experiment: str, content: AsyncIterator[bytes], size: int, *, is_new: bool = False
    ) -> Version:
        """Upload an archive of `size` bytes as the next version of an experiment; it is sent as it comes.

        One that may be new is made with the version.
        """
        return await self.call(
            Version,
            "POST",
            f"/v1/experiments/{segment(experiment)}/versions",
            params={"create": "true"} if is_new else None,
            content=content,
            headers={"content-length": str(size), "content-type": "application/octet-stream"},
            timeout=httpx.Timeout(UPLOAD_SECONDS, connect=CONNECT_SECONDS),
        )

    async def deployments(self) -> list[Deployment]:
        """All deployments by name."""
        return (await self.everything_deployed())[0]

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
