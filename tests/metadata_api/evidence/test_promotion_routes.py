"""Policies and promotions over HTTP."""

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.database.session import Sessions
from tests.metadata_api.evidence.duelling import make_duel, make_pairs

WIN = (True, False)


class TestOverHttp:
    """The routes."""

    CHAMPION = "/v1/aliases/champion"

    @pytest.fixture
    def client(self, api: httpx.Client, engine: Engine, sessions: Sessions) -> httpx.Client:
        make_duel(engine, sessions)
        return api

    def test_a_refusal_is_a_409_with_the_standing(self, client: httpx.Client, sessions: Sessions) -> None:
        answer = client.post(f"{self.CHAMPION}/promote", json={"candidate": "new"})
        assert (answer.status_code, answer.json()["error"]) == (409, "promotion_refused")
        assert {"min_labels", "evidence"} <= (
            {rule["rule"] for rule in answer.json()["standing"]["rules"] if not rule["passed"]}
        )

    def test_a_dry_run_and_the_evidence_say_the_same_and_move_nothing(
        self, client: httpx.Client, sessions: Sessions
    ) -> None:
        make_pairs(sessions, [WIN] * 3)
        dry = client.post(f"{self.CHAMPION}/promote", json={"candidate": "new"}, params={"dry_run": True})
        assert (dry.status_code, dry.json()["promoted"]) == (200, False)
        shown = client.get(f"{self.CHAMPION}/evidence", params={"candidate": "new"}).json()
        assert shown["wins"] == dry.json()["standing"]["wins"] == 3
        assert client.get(self.CHAMPION).json()["deployment"] == "old"

    def test_a_policy_is_set_shown_and_taken_away(self, client: httpx.Client) -> None:
        url = f"{self.CHAMPION}/policy"
        assert client.get(url).json()["is_default"] is True
        made = client.put(url, json={"min_labels": 5, "test": {"kind": "superiority", "alpha": 0.01}}).json()
        assert (made["min_labels"], made["test"]["alpha"], made["set_by"]) == (5, 0.01, "anonymous")
        assert client.get(url).json() == made
        assert client.delete(url).status_code == 204
        assert client.get(url).json()["is_default"] is True

    @pytest.mark.parametrize(
        "body",
        [
            {"test": {"kind": "non_inferiority"}},
            {"test": {"kind": "superiority", "margin": 0.1}},
            {"test": {"alpha": 0}},
            {"min_labels": -1},
            {"no_class_worse_than": 2},
            {"colour": "red"},
        ],
    )
    def test_a_policy_that_makes_no_sense_is_rejected(
        self, client: httpx.Client, body: dict[str, Any]
    ) -> None:
        assert client.put(f"{self.CHAMPION}/policy", json=body).status_code == 422

    def test_forced_it_moves_with_one_request(self, client: httpx.Client, sessions: Sessions) -> None:
        body = {"candidate": "new", "force": True, "reason": "an incident"}
        answer = client.post(f"{self.CHAMPION}/promote", json=body)
        assert (answer.status_code, answer.json()["forced"]) == (200, True)
        assert answer.json()["alias"]["deployment"] == "new"
