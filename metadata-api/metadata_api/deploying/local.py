"""The deployer of the one-machine mode: a file tells the serving process what to load, `/status` what it did.

`create_app` makes it, reconcile drives it. One process serves everything, so `replicas` and `resources` have no effect
here.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from metadata_api.deploying.base import Desired, Observed, withheld
from metadata_api.deploying.logs import LogPart, read_file
from metadata_api.errors import Unavailable
from metadata_api.storage.folder import FolderStore
from metadata_api.storage.replacing import replace
from serving_runtime.contracts import DeploymentState

STATUS_SECONDS = 2.0
_Entry = dict[str, Any]
# The folder beside the models file into which the serving process writes a log for each model.
LOGS = "logs"
# A model that is still on its way out is not what is desired, whatever that is.
STATES: dict[str, DeploymentState] = {
    "starting": "starting",
    "ready": "ready",
    "failed": "failed",
    "stopping": "pending",
}


class LocalDeployer:
    """Writes the models file that the serving process at `serving_url` watches."""

    backend_name = "The serving process"

    def __init__(
        self,
        models_file: Path,
        serving_url: str,
        client: httpx.AsyncClient,
        artifacts: FolderStore,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._leads = leads
        self.changed = asyncio.Event()
        self._models_file = models_file
        self._artifacts = artifacts
        self._status_url = f"{serving_url}/status"
        self._client = client
        self._log_dir = models_file.with_name(LOGS)

    @property
    def watches(self) -> Mapping[str, float]:
        """None: the serving process is asked in every round."""
        return {}

    async def follow(self) -> None:
        """Nothing: the serving process is asked in every round."""

    async def apply(
        self, desired: Sequence[Desired], *, only: Collection[str] | None = None
    ) -> Sequence[str]:
        """Replace the models file when it says something else; with `only` change and add, but remove nothing."""
        models = _models(desired, self._artifacts)
        undone: list[str] = []
        if only is not None:
            found = await asyncio.to_thread(_read, self._models_file)
            present = {name: model for name, model in found.items() if name not in only}
            by_name = {one.name: one for one in desired}
            undone = [
                withheld(name, model["version"], by_name.get(name))
                for name, model in sorted(present.items())
                if models.get(name) != model
            ]
            models |= present
        listed = [models[name] for name in sorted(models)]
        await asyncio.to_thread(self._update, orjson.dumps({"models": listed}, option=orjson.OPT_INDENT_2))
        return undone

    async def observe(self) -> Mapping[str, Observed]:
        """The models of `GET /status`, by name."""
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                answer = await self._client.get(self._status_url, timeout=None)
        except (httpx.HTTPError, TimeoutError) as error:
            reason = f"The serving process does not answer ({type(error).__name__})."
            raise Unavailable("serving_unreachable", reason) from error
        try:
            answer.raise_for_status()
            status = _Status.model_validate_json(answer.content)
        except (httpx.HTTPStatusError, ValidationError) as error:
            reason = (
                f"The serving process answers /status with {answer.status_code} and nothing that can be read."
            )
            raise Unavailable("serving_unreadable", reason) from error
        return {model.name: model.seen() for model in status.models}

    async def log(self, name: str, lines: int) -> Sequence[LogPart]:
        """The last lines of the file that the serving process writes; raises Unavailable."""
        try:
            found = await asyncio.to_thread(read_file, self._log_dir / f"{name}.log", lines)
        except OSError as error:
            raise Unavailable("no_logs", f"The log of {name} cannot be read: {error.strerror}.") from error
        return [LogPart(None, found)]

    def _update(self, content: bytes) -> None:
        path = self._models_file
        # One that was stopped in the middle of a round may wake up beside a new leader.
        if self._leads() and not (path.exists() and path.read_bytes() == content):
            replace(path, content)


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    desired_version: int | None = None
    live_version: int | None = None
    state: str
    reason: str | None = None
    runtime: str | None = None
    containment: dict[str, Any] | None = None

    def seen(self) -> Observed:
        # A model's own words may be in the reason, so they are cut to what the database can hold.
        reason = self.reason and self.reason.replace("\x00", "")[:2000]
        state = STATES.get(self.state, "unknown")
        return Observed(
            state, self.desired_version, self.live_version, reason, self.runtime, self.containment
        )


class _Status(BaseModel):
    models: list[_Model]


def _models(desired: Sequence[Desired], artifacts: FolderStore) -> dict[str, _Entry]:
    """Entries of the models file, by name."""
    return {
        one.name: {
            "name": one.name,
            "version": str(one.version),
            "mar": str(artifacts.path(one.sha256).absolute()),
            "sha256": one.sha256,
            "runtime": one.runtime,
            "environment": one.environment,
            **one.options.given(),
        }
        for one in desired
    }


def _read(path: Path) -> dict[str, _Entry]:
    """Entries of the models file that is there; none when it cannot be read."""
    try:
        return {model["name"]: model for model in orjson.loads(path.read_bytes())["models"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
