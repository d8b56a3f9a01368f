"""The part of the fake API that takes archives: what begins like a ZIP is one, and becomes a version."""

import asyncio
import hashlib
from typing import Any

from fastapi import FastAPI, Request, Response

from tests.ui.fake_answers import NONE, NOW, error
from tests.ui.fake_experiments import experiment
from tests.ui.fake_kinds import DIGITS

ARCHIVE = b"PK" + bytes(range(256)) * 4000
NOT_A_ZIP = "This is not a .mar: it is no ZIP file. Pack it with torch-model-archiver."


def version(experiment: str, number: int, content: bytes = b"PK", **changes: Any) -> dict[str, Any]:
    """One version as the API shows it."""
    digest = hashlib.sha256(content).hexdigest()
    return {
        "experiment": experiment,
        "version": number,
        "sha256": digest,
        "uploaded_sha256": digest,
        "uploaded_by": "a publisher",
        "uploaded_from": "127.0.0.1",
        "signed_by": None,
        "signing_key_sha256": None,
        "size": len(content),
        **DIGITS,
        "environment": "base",
        "handler": "handler.py",
        "files": ["handler.py", "model.pt"],
        "metrics": None,
        "archive_settings": None,
        "created_at": NOW,
        "deployments": [],
        "download": f"/artifacts/{experiment}/{number}/{experiment}.mar",
        **changes,
    }


class FakeModels:
    """Uploads and versions; `received` counts the bytes of the archive under way, and `held` lets its check wait."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was uploaded."""
        self.versions: dict[tuple[str, int], dict[str, Any]] = {}
        self.received = 0
        self.held = False

    def add_routes(self, app: FastAPI, experiments: dict[str, dict[str, Any]]) -> None:
        """To the fake's application; archives become versions of these experiments."""

        @app.get("/artifacts/{name}/{number}/{file}")
        def archive(name: str, number: int, file: str) -> Any:
            if (name, number) not in self.versions:
                return error(404, "version_unknown", f"Experiment {name} does not have a version {number}.")
            return Response(ARCHIVE, media_type="application/octet-stream")

        @app.post("/v1/experiments/{name}/versions", status_code=201)
        async def upload(name: str, request: Request, create: bool = False) -> Any:
            if name not in experiments and not create:
                return error(404, "experiment_unknown", f"There is no experiment {name}.")
            start, self.received = b"", 0
            async for chunk in request.stream():
                start = start or chunk[:2]
                self.received += len(chunk)
            while self.held:
                await asyncio.sleep(0.02)
            if start != b"PK":
                return error(400, "archive_invalid", NOT_A_ZIP)
            if name not in experiments:
                new: dict[str, Any] = {
                    "latest_version": None,
                    "deployments": [],
                    "metrics": {},
                    "source": "api",
                }
                experiments[name] = experiment(name, **new)
            number = (experiments[name]["latest_version"] or 0) + 1
            experiments[name]["latest_version"] = number
            made = self.versions[name, number] = version(name, number) | {"size": self.received}
            return made

        @app.get("/v1/experiments/{name}/versions/{number}")
        def show(name: str, number: int) -> Any:
            found = self.versions.get((name, number))
            return found or error(404, "version_unknown", f"{name} has no version {number}.")

        @app.get("/v1/versions")
        def versions() -> dict[str, Any]:
            return NONE
