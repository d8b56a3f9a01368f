"""What the fake API says to the pages of deployments, imports and versions: mostly that nothing is there."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

NONE: dict[str, Any] = {"items": [], "total": 0, "next": None}


class FakeDetails:
    """`imports` are the reports that were kept, by number."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was imported."""
        self.imports: dict[int, dict[str, Any]] = {}

    def keep(self, report: dict[str, Any]) -> dict[str, Any]:
        """A report with its number and its reasons; one of a check only is not kept."""
        reasons = [
            {"column": one["column"], "reason": one["reason"], "count": 1, "lines": [one["line"]]}
            for one in report["problems"]
        ]
        found = {**report, "reasons": reasons}
        if not report["dry_run"]:
            found["id"] = len(self.imports) + 1
            self.imports[found["id"]] = found
        return found

    def add_routes(self, app: FastAPI) -> None:
        """To the fake's application, before routes with a name in the same place."""

        @app.get("/v1/deployments/{name}/events")
        def events(name: str) -> dict[str, Any]:
            return NONE

        @app.get("/v1/deployments/{name}/traffic")
        def traffic(name: str, minutes: int = 15) -> dict[str, Any]:
            return {"minutes": minutes, "requests": 0, "errors": 0, "p50_ms": None, "p95_ms": None}

        @app.get("/v1/deployments/{name}/rollback")
        def preview(name: str) -> JSONResponse:
            return JSONResponse({"error": "no_previous_version", "detail": "There is none."}, 409)

        @app.get("/v1/predictions")
        def predictions() -> dict[str, Any]:
            return {**NONE, "total_is_exact": True}

        @app.get("/v1/versions")
        def versions() -> dict[str, Any]:
            return NONE

        @app.get("/v1/imports")
        def imports() -> dict[str, Any]:
            kept = list(self.imports.values())[::-1]
            return {"items": kept, "total": len(kept), "next": None}

        @app.get("/v1/imports/{number}")
        def report(number: int) -> dict[str, Any]:
            return self.imports[number]
