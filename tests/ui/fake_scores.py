"""The routes for scores of the fake API, which has them: two versions of digits, the second without labels."""

from typing import Any

from fastapi import FastAPI, Request

DIGITS = [str(digit) for digit in range(10)]


def share(right: int, n: int, low: float, high: float) -> dict[str, Any]:
    """A score of classes."""
    accuracy = right / n if n else None
    interval = [low, high] if n else None
    return {"share": {"n": n, "right": right, "accuracy": accuracy, "interval": interval}, "errors": None}


def scored(experiment: str, version: int, *, labelled: bool = True) -> dict[str, Any]:
    """One version's score."""
    nothing = share(0, 0, 0, 0)
    bins = [
        {"lower": at / 10, "upper": (at + 1) / 10, "n": 20, "confidence": at / 10 + 0.06, "accuracy": at / 10}
        for at in range(10)
    ]
    cells = [{"truth": digit, "answer": digit, "n": 18} for digit in DIGITS]
    cells += [{"truth": digit, "answer": "3", "n": 2} for digit in DIGITS if digit != "3"]
    gap = {"metric": "test_accuracy", "training": 0.976, "live": 0.9, "gap": 0.076}
    all_labels = share(180, 200, 0.85, 0.934) if labelled else nothing
    return {
        "experiment": experiment,
        "version": version,
        "task": "digits",
        "served_by": [experiment],
        "labels": 200,
        "score": all_labels,
        "by_chosen": {
            "random": share(38, 40, 0.835, 0.986) if labelled else nothing,
            "queue": share(142, 160, 0.829, 0.928) if labelled else nothing,
            "other": nothing,
        },
        "by_deployment": [{"deployment": experiment, "score": all_labels}] if labelled else [],
        "confusion": {"labels": DIGITS, "cells": cells, "more": 0} if labelled else None,
        "calibration": {"n": 200, "ece": 0.06, "bins": bins} if labelled else None,
        "generalisation": [gap] if labelled else [],
    }


class FakeScores:
    """`asked` are the deployments of the calls."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def add_routes(self, app: FastAPI) -> None:
        """Both of them."""

        def both() -> dict[str, Any]:
            items = [scored("cnn-baseline", 1), scored("cnn-fast", 3, labelled=False)]
            return {"items": items, "pairs": [], "next": None}

        @app.get("/v1/scores")
        def scores(request: Request) -> dict[str, Any]:
            self.asked.append(request.query_params.getlist("deployment"))
            return both()

        @app.get("/v1/experiments/{name}/scores")
        def of_experiment(name: str) -> dict[str, Any]:
            return {"items": [scored(name, 1)], "pairs": [], "next": None}
