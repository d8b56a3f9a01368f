"""The routes for imports of the fake API, which has their reports: a learning rate is a number, or its row is bad."""

import csv
import io
from typing import Any

from fastapi import FastAPI, UploadFile

from tests.ui.fake_answers import NOW, error
from tests.ui.fake_experiments import experiment


class FakeImports:
    """`kept` are the reports that were kept, by number."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was imported."""
        self.kept: dict[int, dict[str, Any]] = {}

    def add_routes(self, app: FastAPI, experiments: dict[str, dict[str, Any]]) -> None:
        """To the fake's application; what is imported becomes one of the experiments."""

        @app.post("/v1/imports", status_code=201)
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
                    experiments[name] = experiment(name, source="import", latest_version=None, deployments=[])
            return self._keep({
                "id": None, "filename": filename, "dry_run": dry_run, "accepted": len(good), "unchanged": 0,
                "rejected": len(problems), "problems": problems, "experiments": good, "created_at": NOW,
                "reasons": [],
            })  # fmt: skip

        @app.get("/v1/imports")
        def imports() -> dict[str, Any]:
            kept = list(self.kept.values())[::-1]
            return {"items": kept, "total": len(kept), "next": None}

        @app.get("/v1/imports/{number}")
        def report(number: int) -> dict[str, Any]:
            return self.kept[number]

    def _keep(self, report: dict[str, Any]) -> dict[str, Any]:
        """A report with its number and its reasons; one of a check only is not kept."""
        reasons = [
            {"column": one["column"], "reason": one["reason"], "count": 1, "lines": [one["line"]]}
            for one in report["problems"]
        ]
        found = {**report, "reasons": reasons}
        if not report["dry_run"]:
            found["id"] = len(self.kept) + 1
            self.kept[found["id"]] = found
        return found
