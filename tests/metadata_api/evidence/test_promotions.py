"""Promotions by evidence: promoted, refused with every rule and what is missing, forced; and who comes at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from metadata_api import alias_changes, alias_events, aliases
from metadata_api.auth.principal import Principal
from metadata_api.database.session import Sessions
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deployments import changes
from metadata_api.deployments.events import By
from metadata_api.errors import Conflict, Forbidden, Invalid, MarinaError, NotFound
from metadata_api.evidence import policies, promotions, queue
from metadata_api.schemas.aliases import AliasTarget
from metadata_api.schemas.policies import PairedTest, Policy, Preview, Promotion
from serving_runtime.contracts import Role
from tests.metadata_api.evidence import duelling
from tests.metadata_api.evidence.duelling import make_duel, make_pairs
from tests.waiting import until

DEPLOYER = Principal("dora", Role.DEPLOYER, "token")
ADMIN = Principal("ada", Role.ADMIN, "token")
WIN, LOSS, TIE = (True, False), (False, True), (True, True)


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    """A database that no application reconciles."""
    return own_engine


@pytest.fixture
def duel(engine: Engine, sessions: Sessions) -> Sessions:
    make_duel(engine, sessions)
    return sessions


def promote(sessions: Sessions, caller: Principal = DEPLOYER, **more: Any) -> Preview:
    with sessions.begin() as session:
        return promotions.promote(session, "champion", Promotion(**{"candidate": "new", **more}), caller)


def standing(sessions: Sessions, candidate: str = "new") -> Preview:
    with sessions() as session:
        return promotions.preview(session, "champion", candidate)


def refusal(sessions: Sessions, **more: Any) -> dict[str, Any]:
    """The standing of a promotion that is refused, and moves nothing."""
    with pytest.raises(Conflict) as caught:
        promote(sessions, **more)
    assert caught.value.code == "promotion_refused"
    assert target(sessions) == "old"
    return {**caught.value.more["standing"], "detail": caught.value.detail}


def failed(found: dict[str, Any]) -> list[str]:
    return [rule["rule"] for rule in found["rules"] if not rule["passed"]]


def target(sessions: Sessions) -> str:
    with sessions() as session:
        return aliases.show(session, "champion").deployment


def set_policy(sessions: Sessions, **policy: Any) -> None:
    with sessions.begin() as session:
        policies.put(session, "champion", Policy(**policy), "ada")


class TestDecided:
    """What the evidence comes to."""

    def test_a_better_candidate_is_promoted_with_its_evidence(self, duel: Sessions) -> None:
        make_pairs(duel, [TIE] * 30 + [WIN] * 12 + [LOSS])
        found = promote(duel, reason="it wins")
        assert found.promotable
        assert (found.labels, found.wins, found.losses, found.ties) == (43, 12, 1, 30)
        assert target(duel) == "new"
        with duel() as session:
            [event, _] = alias_events.newest(session, "champion", 2)
        assert (event.kind, event.actor, event.reason) == ("promote", "dora", "it wins")
        assert event.evidence
        assert (event.evidence["wins"], event.evidence["forced"]) == (12, False)
        assert event.evidence["policy"]["is_default"]
        assert event.evidence["log_e"] > event.evidence["log_threshold"]

    def test_an_equal_one_is_refused_and_the_missing_labels_are_named(self, duel: Sessions) -> None:
        make_pairs(duel, [TIE] * 40 + [WIN] * 6 + [LOSS] * 4)
        found = refusal(duel)
        assert failed(found) == ["evidence"]
        assert found["labels_missing"] > 50
        assert "6 and 4 of 50 labels" in found["estimate"]
        assert f"About {found['labels_missing']} more labels" in found["detail"]

    def test_a_worse_one_is_refused_and_no_number_would_do(self, duel: Sessions) -> None:
        make_pairs(duel, [TIE] * 30 + [LOSS] * 12 + [WIN] * 4)
        found = refusal(duel)
        assert failed(found) == ["evidence", "no_class_worse_than"]
        assert found["labels_missing"] is None
        assert "no number of labels" in found["estimate"]

    def test_of_few_labels_it_says_how_many_are_missing(self, duel: Sessions) -> None:
        make_pairs(duel, [WIN] * 8)
        found = refusal(duel)
        assert failed(found) == ["min_labels"]
        assert (found["labels_missing"], found["labels"]) == (22, 8)

    def test_without_labels_it_names_the_inputs_that_would_decide(self, duel: Sessions) -> None:
        disputed = make_pairs(duel, [WIN, LOSS, WIN], labelled=False)
        make_pairs(duel, [TIE] * 3, labelled=False)
        found = refusal(duel)
        assert {one["input_sha256"] for one in found["undecided"]} == set(disputed)
        assert found["labels_missing"] == 30
        with duel.begin() as session:
            duelling.label(session, disputed[0], "7")
        assert {one.input_sha256 for one in standing(duel).undecided} == set(disputed[1:])

    def test_the_inputs_that_would_decide_come_as_the_queue_has_them(
        self, duel: Sessions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue, "DECIDING", 5)
        disputed = make_pairs(duel, [WIN, LOSS] * 5, labelled=False)
        with duel() as session:
            asked = queue.Asked(None, "champion", ("new",))
            first = queue.read(session, asked, "ada", 5).items
        found = standing(duel).undecided
        assert [one.input_sha256 for one in found] == [one.input.sha256 for one in first]
        for one in found:
            wins = disputed.index(one.input_sha256) % 2 == 0
            assert (one.candidate, one.champion) == (("7", "wrong") if wins else ("wrong", "7"))

    def test_a_preview_names_the_answers_that_would_flip(self, duel: Sessions) -> None:
        [better] = make_pairs(duel, [WIN])
        [worse] = make_pairs(duel, [LOSS], truth="3")
        make_pairs(duel, [TIE] * 5)
        found = standing(duel)
        assert [one.input_sha256 for one in found.better] == [better]
        assert [(one.input_sha256, one.truth) for one in found.worse] == [(worse, "3")]
        assert [(step.labels, step.wins, step.losses) for step in found.steps[:2]] == [(1, 1, 0), (2, 1, 1)]
        assert found.classes[0].label == "3"

    def test_labels_from_before_the_candidate_are_counted_for_it_may_have_learned_from_them(
        self, duel: Sessions, engine: Engine
    ) -> None:
        [first, *_] = make_pairs(duel, [WIN] * 3)
        uploaded = "update model_versions set created_at = clock_timestamp() where experiment_id = "
        with engine.begin() as connection:
            connection.execute(text(f"{uploaded}(select id from experiments where name = 'new')"))
        make_pairs(duel, [WIN] * 2)
        with duel.begin() as session:
            # A correction makes a label no younger.
            session.execute(
                text("update labels set superseded_at = now() where input_sha256 = :it"), {"it": first}
            )
            duelling.label(session, first, "7")
        found = standing(duel)
        assert (found.labels, found.labelled_before) == (5, 3)

    def test_a_class_that_gets_worse_refuses_what_wins_over_all(self, duel: Sessions) -> None:
        make_pairs(duel, [WIN] * 25 + [TIE] * 10)
        make_pairs(duel, [LOSS] * 3 + [TIE] * 5, truth="1")
        found = refusal(duel)
        assert failed(found) == ["no_class_worse_than"]
        assert "1 by 37.5% of 8 labels" in found["detail"]

    def test_one_lost_label_of_a_class_refuses_nothing(self, duel: Sessions) -> None:
        make_pairs(duel, [WIN] * 15 + [TIE] * 15)
        make_pairs(duel, [LOSS], truth="1")
        assert promote(duel).promotable


class TestPolicies:
    """What a policy of its own asks for."""

    def test_without_one_the_default_holds(self, duel: Sessions) -> None:
        with duel() as session:
            shown = policies.show(session, "champion")
        assert shown.is_default
        assert Policy(**shown.model_dump(exclude={"is_default", "set_by", "set_at"})) == Policy()

    def test_latency_and_errors(self, duel: Sessions) -> None:
        set_policy(duel, max_p95_ms=10, max_error_share=0.1, min_labels=5)
        [sha256, *_] = make_pairs(duel, [WIN] * 20, latency_ms=30)
        with duel.begin() as session:
            for _ in range(10):
                duelling.answer(session, "new", sha256, None)
        found = refusal(duel)
        assert failed(found) == ["max_p95_ms", "max_error_share"]
        assert (found["p95_ms"], found["error_share"]) == (30, pytest.approx(1 / 3))

    def test_not_worse_by_a_margin_promotes_an_equal_candidate(self, duel: Sessions) -> None:
        make_pairs(duel, [TIE] * 200 + [WIN, LOSS] * 3)
        assert failed(refusal(duel)) == ["evidence"]
        set_policy(duel, test=PairedTest(kind="non_inferiority", margin=0.05))
        assert promote(duel).promotable
        assert target(duel) == "new"

    def test_goes_with_its_alias(self, duel: Sessions) -> None:
        set_policy(duel, min_labels=1)
        with duel.begin() as session:
            alias_changes.delete(session, "champion", "ada", "")
        with duel() as session, pytest.raises(NotFound):
            policies.show(session, "champion")


class TestForce:
    """Past the policy."""

    def test_needs_an_admin(self, duel: Sessions) -> None:
        with pytest.raises(Forbidden):
            promote(duel, force=True, reason="I know better")
        assert target(duel) == "old"

    def test_needs_a_reason(self, duel: Sessions) -> None:
        with pytest.raises(Invalid):
            promote(duel, ADMIN, force=True, reason=" ")
        assert target(duel) == "old"

    def test_moves_and_is_recorded(self, duel: Sessions) -> None:
        promote(duel, ADMIN, force=True, reason="an incident")
        assert target(duel) == "new"
        with duel() as session:
            [event] = alias_events.newest(session, "champion", 1)
        assert event.evidence
        assert (event.evidence["forced"], event.evidence["promotable"]) == (True, False)


class TestMeanwhile:
    """Whatever else happens to champion and candidate."""

    def test_of_two_at_once_one_is_promoted_and_the_other_hears_so(self, duel: Sessions) -> None:
        make_pairs(duel, [WIN] * 30)

        def attempt(_: int) -> str:
            try:
                promote(duel)
            except MarinaError as error:
                return error.code
            return "promoted"

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attempt, range(2))) == ["already_champion", "promoted"]

    def test_a_label_that_comes_meanwhile_is_in_the_evidence_or_comes_later(self, duel: Sessions) -> None:
        shas = make_pairs(duel, [WIN] * 30 + [LOSS] * 10, labelled=False)
        with duel.begin() as session:
            for sha256 in shas[:30]:
                duelling.label(session, sha256, "7")

        def more(sha256: str) -> None:
            with duel.begin() as session:
                duelling.label(session, sha256, "7")

        with ThreadPoolExecutor(4) as pool:
            promoted = pool.submit(promote, duel)
            list(pool.map(more, shas[30:]))
        found = promoted.result()
        assert found.labels == found.wins + found.losses
        assert 30 <= found.labels <= 40
        assert found.steps[-1].labels == found.labels

    @pytest.mark.parametrize(
        ("candidate", "code"),
        [("old", "already_champion"), ("asleep", "deployment_stopped"), ("nobody", "deployment_unknown")],
    )
    def test_what_cannot_be_promoted_at_all_says_so(
        self, engine: Engine, sessions: Sessions, candidate: str, code: str
    ) -> None:
        make_duel(engine, sessions, "asleep")
        with sessions.begin() as session:
            changes.stop(session, "asleep", HelmRelease(), By("ada", ""))
        with pytest.raises(MarinaError) as caught:
            promote(sessions, candidate=candidate)
        assert caught.value.code == code

    def test_an_alias_that_is_not_there(self, duel: Sessions) -> None:
        with duel.begin() as session:
            alias_changes.delete(session, "champion", "ada", "")
        with pytest.raises(NotFound):
            promote(duel)

    def test_a_candidate_of_another_task(self, duel: Sessions, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "update model_versions set task = 'letters' where experiment_id = "
                    "(select id from experiments where name = 'new')"
                )
            )
        found = refusal(duel)
        assert "same_task" in failed(found)
        assert "new has letters" in found["detail"]

    def test_a_candidate_that_is_not_ready(self, duel: Sessions, engine: Engine) -> None:
        make_pairs(duel, [WIN] * 30)
        with engine.begin() as connection:
            connection.execute(text("update deployments set observed_state = 'pending' where name = 'new'"))
        assert failed(refusal(duel)) == ["ready"]

    def test_the_same_version_under_another_name(self, duel: Sessions, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "update deployments set (experiment_id, version_id) = "
                    "(select experiment_id, version_id from deployments where name = 'old') where name = 'new'"
                )
            )
        assert "other_version" in failed(refusal(duel))


def test_a_policy_that_is_just_being_set_holds_for_a_move_that_waits_for_it(
    duel: Sessions, engine: Engine
) -> None:
    def move() -> None:
        # As the route for PUT does it.
        with duel.begin() as session:
            policies.require_free(session, "champion", DEPLOYER)
            alias_changes.put(session, "champion", AliasTarget(deployment="new"), (), "dora")

    def is_waiting() -> bool:
        query = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        with engine.connect() as connection:
            return connection.execute(text(query)).scalar_one() > 0

    with ThreadPoolExecutor(1) as pool:
        with duel.begin() as session:
            policies.put(session, "champion", Policy(min_labels=5), "ada")
            moved = pool.submit(move)
            until(is_waiting, "the move waits")
        with pytest.raises(Forbidden):
            moved.result(timeout=30)
    assert target(duel) == "old"


def test_with_a_policy_of_its_own_an_alias_moves_by_evidence_or_by_an_admin(duel: Sessions) -> None:
    with duel() as session:
        policies.require_free(session, "champion", DEPLOYER)
    set_policy(duel, min_labels=5)
    with duel() as session:
        policies.require_free(session, "champion", ADMIN)
        policies.require_free(session, "new-alias", DEPLOYER)
        with pytest.raises(Forbidden):
            policies.require_free(session, "champion", DEPLOYER)
