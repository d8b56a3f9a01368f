"""`marina promote`: promoted, or the rules that fail and what is missing."""

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from metadata_api.database.session import Sessions
from tests.marina.conftest import Marina
from tests.metadata_api.evidence.duelling import make_duel, make_pairs
from tests.waiting import until

WIN, LOSS = (True, False), (False, True)


@pytest.fixture
def duel(at_home: Marina, api: httpx.Client, engine: Engine) -> Sessions:
    """`champion` points at `old`; `new` is ready beside it."""
    sessions = sessionmaker(engine, expire_on_commit=False)
    make_duel(engine, sessions)
    until(lambda: bool(api.get("/v1/deployments/new").json()["ready"]), "new is ready")
    return sessions


def test_a_better_candidate_takes_the_alias(at_home: Marina, api: httpx.Client, duel: Sessions) -> None:
    make_pairs(duel, [WIN] * 30)
    dry = at_home("promote", "champion", "new", "--dry-run")
    assert (dry.code, "points at" in dry.out) == (0, False)
    said = at_home("promote", "champion", "new", "--reason", "it wins")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "champion points at new, version 1"
    event = api.get("/v1/aliases/champion/events").json()["items"][0]
    assert (event["kind"], event["reason"]) == ("promote", "it wins")


def test_one_that_is_not_is_told_with_every_rule(at_home: Marina, api: httpx.Client, duel: Sessions) -> None:
    disputed = make_pairs(duel, [LOSS], labelled=False)
    make_pairs(duel, [WIN] * 4 + [LOSS] * 2)
    said = at_home("promote", "champion", "new")
    said.failed(1, "new is not promoted", "more labels")
    assert [line.split()[:3] for line in said.out.splitlines() if "FAIL" in line] == [
        ["min", "labels", "FAIL"],
        ["evidence", "FAIL", "The"],
    ]
    assert disputed[0] in said.out
    assert api.get("/v1/aliases/champion").json()["deployment"] == "old"


def test_force_needs_a_reason_and_then_moves(at_home: Marina, api: httpx.Client, duel: Sessions) -> None:
    at_home("promote", "champion", "new", "--force").failed(2, "--reason")
    forced = at_home("promote", "champion", "new", "--force", "--reason", "an incident", "--json")
    assert (forced.code, forced.json["forced"]) == (0, True)
    assert api.get("/v1/aliases/champion").json()["deployment"] == "new"
