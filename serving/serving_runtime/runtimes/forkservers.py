"""The fork servers: one for each environment whose models are served, started with the first of them."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from serving_runtime import environments
from serving_runtime.contracts import BASE_ENVIRONMENT
from serving_runtime.errors import LoadFailed
from serving_runtime.runtimes.forkserver import ForkServer

_log = logging.getLogger(__name__)


class ForkServers:
    """`of` an environment while models are served, `stop` at the end."""

    def __init__(
        self,
        directory: Path,
        threads: int,
        more: Sequence[str] = (),
        *,
        max_batch: int = 1,
        folder: Path | None = None,
    ) -> None:
        """`folder` holds the environments beside `base`; for the rest see `ForkServer`."""
        self._directory = directory
        self._threads = threads
        self._more = more
        self._max_batch = max_batch
        self._folder = folder
        self._by_environment: dict[Path, ForkServer] = {}

    def of(self, environment: str) -> ForkServer:
        """The fork server of an environment; a new one when it was built anew. Raises LoadFailed when it is not there.

        Models that run keep the one that they have, with all its files: each build has a folder of its own.
        """
        python = self._find(environment)
        if python not in self._by_environment:
            self._by_environment[python] = ForkServer(
                self._directory,
                self._threads,
                self._more,
                max_batch=self._max_batch,
                python=python,
                preload=self._preload(environment),
                name=environment,
            )
        return self._by_environment[python]

    async def stop(self) -> None:
        for forkserver in self._by_environment.values():
            await forkserver.stop()

    def _find(self, environment: str) -> Path:
        """The Python of its newest build."""
        if environment == BASE_ENVIRONMENT:
            return Path(sys.executable)
        if self._folder is not None:
            newest = (self._folder / environment).resolve()
            if (newest / environments.DESCRIPTION).exists():
                return newest / "bin" / "python"
        raise LoadFailed(
            f"the environment {environment} is not here: on one machine run `{environments.command(environment)}`, "
            f"on a cluster use the image marina-serving-{environment}"
        )

    def _preload(self, environment: str) -> Sequence[str]:
        if environment == BASE_ENVIRONMENT or self._folder is None:
            return ()
        found = environments.built(self._folder)[environment]
        for note in found.notes:
            _log.warning("environment %s: %s", environment, note)
        return found.preload
