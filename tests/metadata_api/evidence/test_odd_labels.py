"""Labels and answers that nobody thought of: one alone, of one class, names of any text, numbers at their ends."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from metadata_api.auth.principal import Principal
from metadata_api.evidence import promotions, scores
from metadata_api.schemas.policies import Promotion
from serving_runtime.contracts import Role
from tests.metadata_api.evidence.answering import (
    NUMBER,
    PROBABILITIES,
    TEXT,
    answered,
    inputs,
    record,
    sha,
    versions_of_task,
)
from tests.metadata_api.evidence.duelling import make_duel, make_pairs

DEPLOYER = Principal("dora", Role.DEPLOYER, "token")
ODD = ["a b", " leading", "Straße", "数字", "🦊", "e\u0301", "\u00e9", '<b>"x"</b>', "x" * 200, "none", "0"]


def label(api: httpx.Client, at: int, **said: Any) -> httpx.Response:
    return api.post(f"/v1/inputs/{sha(at)}/labels", json=said)


def item(api: httpx.Client, name: str) -> dict[str, Any]:
    [found] = api.get(f"/v1/experiments/{name}/scores").raise_for_status().json()["items"]
    return dict(found)


def test_classes_of_any_name_are_labelled_scored_and_told_apart(api: httpx.Client, engine: Engine) -> None:
    outputs = [{**PROBABILITIES[0], "shape": [-1, len(ODD)]}]
    [version] = versions_of_task(engine, "odd", outputs=outputs, labels=ODD)
    inputs(engine, range(len(ODD)))
    record(engine, [answered(version, at, label=one, confidence=0.9) for at, one in enumerate(ODD)])
    for at, one in enumerate(ODD):
        assert label(api, at, task="odd", label=one).status_code == 201, one
    found = item(api, "odd")
    assert (found["score"]["share"]["n"], found["score"]["share"]["right"]) == (len(ODD), len(ODD))
    assert {(cell["truth"], cell["answer"]) for cell in found["confusion"]["cells"]} == {
        (one, one) for one in ODD
    }


def test_of_one_label_alone_every_figure_is_there(api: httpx.Client, engine: Engine) -> None:
    [version] = versions_of_task(engine, "digits")
    inputs(engine, [1])
    record(engine, [answered(version, 1, label="5", confidence=0.7)])
    label(api, 1, task="digits", label="3").raise_for_status()
    found = item(api, "digits")
    share = found["score"]["share"]
    assert (share["n"], share["right"], share["accuracy"]) == (1, 0, 0.0)
    assert share["interval"] == [0.0, pytest.approx(0.79345, abs=1e-5)]
    assert found["calibration"]["ece"] == pytest.approx(0.7)
    assert found["by_chosen"]["random"]["share"] == {"n": 0, "right": 0, "accuracy": None, "interval": None}


def test_numbers_at_their_ends_are_scored_or_told(api: httpx.Client, engine: Engine) -> None:
    [version] = versions_of_task(engine, "houses", outputs=NUMBER, labels=[])
    inputs(engine, range(4))
    said = (9.99e149, -9.99e149, -0.0, 5e-324)
    record(engine, [answered(version, at, number=number) for at, number in enumerate(said)])
    for at, number in enumerate((-9.99e149, 9.99e149, 0.0, 0.0)):
        label(api, at, task="houses", number=number).raise_for_status()
    errors = item(api, "houses")["score"]["errors"]
    assert (errors["n"], errors["mae"]) == (4, pytest.approx(9.99e149))
    for wrong in ("NaN", "Infinity", "-Infinity", "1e151"):
        body = f'{{"task": "houses", "number": {wrong}}}'
        answer = api.post(
            f"/v1/inputs/{sha(1)}/labels", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code in (400, 422), wrong
    json.loads(api.get("/v1/experiments/houses/scores").text, parse_constant=pytest.fail)


def test_blanks_around_a_text_are_nothing_whichever_they_are(api: httpx.Client, engine: Engine) -> None:
    [version] = versions_of_task(engine, "language", outputs=TEXT, labels=[])
    told = [" en", "en\n", "\ten\r\n", "\u00a0en\u3000", "e n"]
    inputs(engine, range(len(told)))
    record(engine, [answered(version, at, text=one) for at, one in enumerate(told)])
    for at in range(len(told)):
        label(api, at, task="language", text="\u2003en\n").raise_for_status()
    assert item(api, "language")["score"]["share"]["right"] == len(told) - 1


def test_labels_of_one_class_alone_decide_and_name_it(engine: Engine, sessions: Any, clean: None) -> None:
    make_duel(engine, sessions)
    make_pairs(sessions, [(True, False)] * 30, truth="7")
    with sessions() as session:
        found = scores.paired(session, "digits", *_versions(session))
    assert {pair.truth for pair in found} == {"7"}


def test_a_label_that_is_corrected_after_a_promotion_leaves_what_was_decided_on(
    api: httpx.Client, engine: Engine, sessions: Any
) -> None:
    make_duel(engine, sessions)
    shas = make_pairs(sessions, [(True, False)] * 30, truth="7")
    with sessions.begin() as session:
        # In one transaction: what the running application sees of the deployments has no say in between.
        session.execute(text("update deployments set observed_state = 'ready', observed_version = 1"))
        promotions.promote(session, "champion", Promotion(candidate="new"), DEPLOYER)
    url = "/v1/aliases/champion/events"
    [before, *_] = api.get(url).json()["items"]
    for sha256 in shas:
        body = {"task": "digits", "label": "3"}
        api.post(f"/v1/inputs/{sha256}/labels", json=body).raise_for_status()
    [after, *_] = api.get(url).json()["items"]
    assert (after, after["evidence"]["wins"]) == (before, 30)
    now = api.get("/v1/aliases/champion/evidence", params={"candidate": "old"}).json()
    assert (now["wins"], now["losses"], now["ties"]) == (0, 0, 30), "neither said 3"


def _versions(session: Session) -> tuple[int, int]:
    names = "select d.version_id from deployments d where d.name = :name"
    new, old = (session.execute(text(names), {"name": name}).scalar_one() for name in ("new", "old"))
    return new, old
