"""Scores of 200 labels are those of scikit-learn and statsmodels, to 1e-9."""

import random
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session
from statsmodels.stats.proportion import proportion_confint

from metadata_api.database.evidence_tables import Label
from tests.metadata_api.evidence.answering import (
    NUMBER,
    TEXT,
    answered,
    inputs,
    record,
    sha,
    versions_of_task,
)
from tests.metadata_api.making import LABELS

N = 200
CLOSE = 1e-9
Rows = list[dict[str, Any]]


def put_labels(engine: Engine, task: str, rows: Rows) -> None:
    """Labels as the API writes them."""
    said = [
        {"task": task, "author": "ann", "chosen": "other", "created_at": "2026-01-01", **row} for row in rows
    ]
    with Session(engine) as session, session.begin():
        session.execute(insert(Label), said)


def scores(api: httpx.Client, name: str) -> dict[str, Any]:
    answer = api.get(f"/v1/experiments/{name}/scores")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def close(value: Any) -> Any:
    return pytest.approx(value, rel=CLOSE, abs=CLOSE)


@pytest.fixture
def digits(api: httpx.Client, engine: Engine) -> dict[str, Any]:
    """200 labels and three versions: how the inputs were chosen, what is right, what was said and how surely."""
    generator = random.Random(18)
    versions = versions_of_task(engine, "digits", count=3)
    inputs(engine, range(N))
    truth = [generator.choice(LABELS) for _ in range(N)]
    chosen = [generator.choice(["random", "queue", "other"]) for _ in range(N)]
    said: dict[int, list[tuple[str, float]]] = {}
    for skill, version in zip((0.9, 0.7, 0.5), versions, strict=True):
        said[version] = [
            (
                right if generator.random() < skill else generator.choice(LABELS),
                generator.choice(CONFIDENCES)(),
            )
            for right in truth
        ]
        # Older answers, which do not count.
        record(engine, [answered(version, at, label="0", confidence=0.5) for at in range(0, N, 7)])
        record(
            engine,
            [
                answered(version, at, label=label, confidence=sure)
                for at, (label, sure) in enumerate(said[version])
            ],
        )
    put_labels(
        engine,
        "digits",
        [{"input_sha256": sha(at), "label": truth[at], "chosen": chosen[at]} for at in range(N)],
    )
    return {"truth": truth, "chosen": chosen, "said": list(said.values())}


# Some are on the edges of bins.
_generator = random.Random(10)
CONFIDENCES: list[Callable[[], float]] = [
    _generator.random,
    lambda: round(_generator.random(), 1),
    lambda: float(np.float32(_generator.random())),
]


def test_classes(api: httpx.Client, digits: dict[str, Any]) -> None:
    answer = scores(api, "digits")
    assert [item["version"] for item in answer["items"]] == [3, 2, 1]
    for item, said in zip(reversed(answer["items"]), digits["said"], strict=True):
        labels = [label for label, _ in said]
        share = item["score"]["share"]
        assert (share["n"], item["labels"]) == (N, N)
        assert share["accuracy"] == close(metrics.accuracy_score(digits["truth"], labels))
        assert share["interval"] == close(proportion_confint(share["right"], N, method="wilson"))
        matrix = np.zeros((len(LABELS), len(LABELS)), int)
        for cell in item["confusion"]["cells"]:
            matrix[LABELS.index(cell["truth"]), LABELS.index(cell["answer"])] = cell["n"]
        assert (matrix == metrics.confusion_matrix(digits["truth"], labels, labels=LABELS)).all()


def test_of_each_way_to_choose(api: httpx.Client, digits: dict[str, Any]) -> None:
    for item, said in zip(reversed(scores(api, "digits")["items"]), digits["said"], strict=True):
        assert set(item["by_chosen"]) == {"random", "queue", "other"}
        for chosen, part in item["by_chosen"].items():
            mine = [at for at in range(N) if digits["chosen"][at] == chosen]
            right = sum(said[at][0] == digits["truth"][at] for at in mine)
            share = part["share"]
            assert (share["n"], share["right"]) == (len(mine), right)
            assert share["interval"] == close(proportion_confint(right, len(mine), method="wilson"))


def test_calibration(api: httpx.Client, digits: dict[str, Any]) -> None:
    for item, said in zip(reversed(scores(api, "digits")["items"]), digits["said"], strict=True):
        right = [label == truth for (label, _), truth in zip(said, digits["truth"], strict=True)]
        sure = [confidence for _, confidence in said]
        accuracy, confidence = calibration_curve(right, sure, n_bins=10, strategy="uniform")
        found = item["calibration"]
        filled = [one for one in found["bins"] if one["n"]]
        assert [one["accuracy"] for one in filled] == close(list(accuracy))
        assert [one["confidence"] for one in filled] == close(list(confidence))
        weights = np.array([one["n"] for one in filled]) / N
        assert found["ece"] == close(float(np.sum(weights * np.abs(accuracy - confidence))))
        assert (found["n"], len(found["bins"])) == (N, 10)


def test_pairs(api: httpx.Client, digits: dict[str, Any]) -> None:
    right = [
        np.array([label == truth for (label, _), truth in zip(said, digits["truth"], strict=True)])
        for said in digits["said"]
    ]
    pairs = scores(api, "digits")["pairs"]
    assert len(pairs) == 3
    for pair in pairs:
        one, other = (right[pair[side]["version"] - 1] for side in ("one", "other"))
        assert pair["n"] == N
        assert pair["both_right"] == (one & other).sum()
        assert pair["only_one"] == (one & ~other).sum()
        assert pair["only_other"] == (~one & other).sum()
        assert pair["neither"] == (~one & ~other).sum()
        assert pair["difference"] == close(float(one.mean() - other.mean()))


def test_numbers(api: httpx.Client, engine: Engine) -> None:
    generator = random.Random(19)
    versions = versions_of_task(engine, "houses", count=2, outputs=NUMBER, labels=[])
    inputs(engine, range(N))
    truth = [generator.gauss(200_000, 50_000) for _ in range(N)]
    put_labels(engine, "houses", [{"input_sha256": sha(at), "number": truth[at]} for at in range(N)])
    said = [[value + generator.gauss(500, noise) for value in truth] for noise in (1000.0, 9000.0)]
    for version, numbers in zip(versions, said, strict=True):
        record(engine, [answered(version, at, number=number) for at, number in enumerate(numbers)])
    answer = scores(api, "houses")
    for item, numbers in zip(reversed(answer["items"]), said, strict=True):
        found = item["score"]["errors"]
        errors = np.array(numbers) - np.array(truth)
        assert found["mae"] == close(metrics.mean_absolute_error(truth, numbers))
        assert found["rmse"] == close(metrics.root_mean_squared_error(truth, numbers))
        assert found["median_absolute"] == close(metrics.median_absolute_error(truth, numbers))
        assert found["mean"] == close(float(errors.mean()))
        for share, value in found["quantiles"].items():
            assert value == close(float(np.quantile(errors, float(share))))
        assert (item["score"]["share"]["n"], item["confusion"], item["calibration"]) == (0, None, None)
    near = np.abs(np.array(said) - np.array(truth))
    [pair] = answer["pairs"]
    assert pair["only_one"] == (near[1] < near[0]).sum()
    assert pair["only_other"] == (near[0] < near[1]).sum()


def test_texts(api: httpx.Client, engine: Engine) -> None:
    generator = random.Random(20)
    [version] = versions_of_task(engine, "language", outputs=TEXT, labels=[])
    inputs(engine, range(N))
    truth = [generator.choice(["en", "de", "fr"]) for _ in range(N)]
    said = [generator.choice([right, right, "en", "de "]) for right in truth]
    put_labels(engine, "language", [{"input_sha256": sha(at), "text": truth[at]} for at in range(N)])
    record(engine, [answered(version, at, text=text) for at, text in enumerate(said)])
    [item] = scores(api, "language")["items"]
    assert item["score"]["share"]["accuracy"] == close(
        metrics.accuracy_score(truth, [text.strip() for text in said])
    )
    assert item["confusion"] is None
