"""The same models asked through the metadata API, which deploys them on a front as it does on one machine."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from metadata_api.app import create_app
from metadata_api.settings import Max, Settings
from metadata_api.settings.auth import Auth
from tests.databases import own_database
from tests.metadata_api.making import url_of
from tests.metadata_api.servers import running
from tests.waiting import until

from ..conftest import Front


class ThroughApi(Front):
    """A front and an API before it; `url` and `client` are the API's, everything else is as it is of the front."""

    def __init__(self, folder: Path, postgres_url: str, max_body_bytes: int, **settings: str) -> None:
        super().__init__(folder, **settings)
        self.front_client = self.client
        self._stack = ExitStack()
        engine = self._stack.enter_context(own_database(postgres_url))
        app = create_app(
            Settings(
                auth=Auth(mode="off"),
                database_url=url_of(engine),
                store_dir=folder / "store",
                serving_models_file=self.models_file,
                serving_url=self.url,
                max=Max(inference_bytes=max_body_bytes),
            )
        )
        self.url = self._stack.enter_context(running(app))
        kept = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=None)
        self.client = httpx.Client(base_url=self.url, timeout=20, limits=kept)

    def want(
        self,
        name: str,
        version: str,
        path: Path,
        sha256: str | None = None,
        runtime: str | None = None,
        options: Mapping[str, float] | None = None,
        environment: str | None = None,
    ) -> None:
        """Upload an archive as version 1 of an experiment, unless it is there, and deploy it."""
        assert (version, sha256, options, environment) == ("1", None, None, None)
        if self.client.get(f"/v1/experiments/{name}").status_code == 404:
            self.client.post("/v1/experiments", json={"name": name}).raise_for_status()
            archive = path.read_bytes()
            self.client.post(f"/v1/experiments/{name}/versions", content=archive).raise_for_status()
        deployment = {"experiment": name, "runtime": runtime or self.runtime}
        self.client.post("/v1/deployments", json=deployment).raise_for_status()

    def want_no_more(self, name: str) -> None:
        self.client.delete(f"/v1/deployments/{name}").raise_for_status()

    def status(self, name: str) -> dict[str, Any]:
        listed = self.front_client.get("/status").json()["models"]
        return next((item for item in listed if item["name"] == name), {})

    def wait_until(self, name: str, seconds: float = 60, **expected: Any) -> dict[str, Any]:
        """Wait until the front says so, and the API has observed it."""
        found = super().wait_until(name, seconds, **expected)
        if "state" in expected:
            address = f"/v1/deployments/{name}"
            until(
                lambda: self.client.get(address).json()["observed"]["state"] == expected["state"],
                f"the API sees that {name} is {expected['state']}",
            )
        return found

    def stop(self) -> None:
        self.client.close()
        self._stack.close()
        self.client = self.front_client
        super().stop()
