"""What decides most is labelled first, and a random slice is mixed in that nothing bends."""

import random
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.database.tables import Alias, Deployment, ModelVersion
from metadata_api.evidence.order import RANDOM_SHARE, SLICE, Candidate, Place, ordered
from tests.metadata_api.evidence.answering import NUMBER, answered, inputs, record, sha, versions_of_task
from tests.metadata_api.evidence.test_labels import label


def candidates(count: int, seed: int = 1) -> list[Candidate]:
    generator = random.Random(seed)
    return [
        Candidate(
            f"{generator.getrandbits(256):064x}",
            candidate_differs=generator.random() < 0.1,
            answers=generator.choice([1, 1, 1, 2, 3]),
            margin=generator.random(),
        )
        for _ in range(count)
    ]


class TestOrder:
    def test_each_input_comes_once_and_a_fifth_of_them_at_random(self) -> None:
        given = candidates(2000)
        places = list(ordered("digits", given))
        assert sorted(place.input.sha256 for place in places) == sorted(one.sha256 for one in given)
        drawn = sum(place.chosen == "random" for place in places)
        assert drawn / len(places) == pytest.approx(RANDOM_SHARE, abs=0.03)
        first = places[:500]
        assert [at % SLICE for at, place in enumerate(first) if place.chosen == "random"] == [SLICE - 1] * 100

    def test_decisive_ones_come_first_then_other_differences_then_small_margins(self) -> None:
        queue = [place for place in ordered("digits", candidates(500)) if place.chosen == "queue"]
        ranks = [
            ("candidate_differs", "versions_differ", "small_margin").index(place.reason) for place in queue
        ]
        assert ranks == sorted(ranks)
        margins = [place.input.margin or 0.0 for place in queue if place.reason == "small_margin"]
        assert margins == sorted(margins)

    def test_the_slice_follows_from_task_and_input_alone(self) -> None:
        def drawn(places: list[Place]) -> list[str]:
            return [place.input.sha256 for place in places if place.chosen == "random"]

        given = candidates(1000)
        before = drawn(list(ordered("digits", given)))
        # Other answers, other order, and those of the queue labelled meanwhile.
        others = [Candidate(one.sha256, answers=2, margin=0.1) for one in reversed(given)]
        assert drawn(list(ordered("digits", others))) == before
        labelled = set(before[:20])
        assert (
            drawn(list(ordered("digits", [one for one in given if one.sha256 not in labelled])))
            == before[20:]
        )
        assert drawn(list(ordered("shapes", given))) != before

    def test_what_was_labelled_of_the_slice_is_as_often_right_as_all(self) -> None:
        """The control: of the same number of places at the front of the queue the decisive ones are not."""
        off_random: list[float] = []
        off_queue: list[float] = []
        for seed in range(200):
            generator = random.Random(seed)
            given = candidates(400, seed)
            # Where versions differ the champion is right less often.
            right = {
                one.sha256: generator.random() < (0.5 if one.candidate_differs or one.answers > 1 else 0.95)
                for one in given
            }
            accuracy = sum(right.values()) / len(given)
            labelled = list(ordered("digits", given))[:100]
            for chosen, off in (("random", off_random), ("queue", off_queue)):
                mine = [right[place.input.sha256] for place in labelled if place.chosen == chosen]
                off.append(sum(mine) / len(mine) - accuracy)
        assert abs(sum(off_random) / len(off_random)) < 0.02
        assert sum(off_queue) / len(off_queue) < -0.2


def deploy(engine: Engine, name: str, version_id: int, alias: str = "") -> None:
    with Session(engine) as session, session.begin():
        version = session.get(ModelVersion, version_id)
        assert version
        row = Deployment(
            name=name,
            experiment_id=version.experiment_id,
            version_id=version_id,
            runtime="native",
            replicas=1,
            desired="running",
        )
        session.add(row)
        session.flush()
        if alias:
            session.add(Alias(name=alias, deployment_id=row.id, version_id=version_id))


class TestQueue:
    @pytest.fixture
    def served(self, api: httpx.Client, engine: Engine) -> list[int]:
        """Champion, challenger and a third version of digits, and 60 inputs on which they agree more or less."""
        ids = versions_of_task(engine, "digits", count=3)
        for name, version, alias in zip(("one", "two", "three"), ids, ("champion", "", ""), strict=True):
            deploy(engine, name, version, alias)
        inputs(engine, range(60))
        rows = []
        for at in range(60):
            labels = ("1", "2", "1") if at < 10 else ("1", "1", "2") if at < 20 else ("1", "1", "1")
            rows += [
                answered(version, at, label=said, confidence=0.5 + at / 200, second=0.2)
                for version, said in zip(ids, labels, strict=True)
            ]
        record(engine, rows)
        return ids

    def queue(self, api: httpx.Client, **query: Any) -> dict[str, Any]:
        answer = api.get("/v1/label-queue", params={"limit": 200, **query})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def test_recorded_inputs_without_an_answer_come_last(
        self, api: httpx.Client, engine: Engine, served: list[int]
    ) -> None:
        inputs(engine, range(100, 110))
        unanswered = [answered(served[0], at, status="unanswered") for at in range(100, 110)]
        # One of them has been asked about meanwhile.
        record(engine, [*unanswered, answered(served[1], 109, label="1", confidence=0.9)])
        found = self.queue(api, alias="champion", challenger="two")
        assert (found["open"], found["decisive"]) == (70, 20)
        last = [item for item in found["items"] if item["reason"] == "unanswered"]
        assert {item["input"]["sha256"] for item in last} <= {sha(at) for at in range(100, 109)}
        queue = [item["reason"] for item in found["items"] if item["chosen"] == "queue"]
        assert queue[-len(last) :] == ["unanswered"] * len(last)

    def shas(self, found: dict[str, Any], reason: str) -> set[str]:
        return {item["input"]["sha256"] for item in found["items"] if item["reason"] == reason}

    def test_says_what_comes_first_and_why(self, api: httpx.Client, served: list[int]) -> None:
        found = self.queue(api, alias="champion", challenger="two")
        assert (found["task"], found["takes"]["fields"]) == ("digits", ["label"])
        assert found["takes"]["labels"][:3] == ["0", "1", "2"]
        assert (found["open"], found["decisive"], found["labelled"]) == (60, 20, 0)
        assert found["items"][0]["reason"] == "candidate_differs"
        assert found["items"][0]["input"]["kind"] == "image"
        assert self.shas(found, "candidate_differs") <= {sha(at) for at in range(10)}
        assert self.shas(found, "versions_differ") <= {sha(at) for at in range(10, 20)}
        assert {item["chosen"] for item in found["items"]} == {"queue", "random"}
        assert "answer" not in found["items"][0]

    def test_without_challengers_all_that_are_served_are_candidates(
        self, api: httpx.Client, served: list[int]
    ) -> None:
        found = self.queue(api, alias="champion")
        assert self.shas(found, "candidate_differs") <= {sha(at) for at in range(20)}
        assert self.shas(found, "versions_differ") == set()
        assert self.shas(self.queue(api, task="digits"), "candidate_differs") == set()

    def test_leaves_out_what_is_labelled_or_skipped(self, api: httpx.Client, served: list[int]) -> None:
        first, second, *_ = [item["input"]["sha256"] for item in self.queue(api, task="digits")["items"]]
        label(api, int(first, 16), task="digits", label="1")
        api.put(f"/v1/inputs/{second}/skips", json={"task": "digits"}).raise_for_status()
        found = self.queue(api, task="digits")
        assert (found["open"], found["labelled"]) == (58, 1)
        assert not {first, second} & {item["input"]["sha256"] for item in found["items"]}

    def test_whoever_asks_anew_after_each_label_comes_to_the_random_slice_too(
        self, api: httpx.Client, served: list[int]
    ) -> None:
        chosen = []
        for _ in range(20):
            [item] = self.queue(api, alias="champion", challenger="two", limit=1)["items"]
            said = {"task": "digits", "label": "1", "chosen": item["chosen"]}
            label(api, int(item["input"]["sha256"], 16), **said).raise_for_status()
            chosen.append(item["chosen"])
        assert chosen == (["queue"] * 4 + ["random"]) * 4
        # Labels of other inputs move nothing.
        rest = self.queue(api, task="digits")["items"]
        other = next(item["input"]["sha256"] for item in reversed(rest) if item["chosen"] == "queue")
        label(api, int(other, 16), task="digits", label="1").raise_for_status()
        assert [item["chosen"] for item in self.queue(api, task="digits")["items"][:5]] == chosen[:5]

    def test_numbers_by_how_far_they_are_apart(self, api: httpx.Client, engine: Engine) -> None:
        ids = versions_of_task(engine, "houses", count=2, outputs=NUMBER, labels=[])
        for name, version in zip(("one", "two"), ids, strict=True):
            deploy(engine, name, version)
        inputs(engine, range(30))
        rows = [
            answered(version, at, number=float(at * place))
            for at in range(30)
            for place, version in enumerate(ids)
        ]
        record(engine, rows)
        found = [item for item in self.queue(api, task="houses")["items"] if item["chosen"] == "queue"]
        spreads = [int(item["input"]["sha256"], 16) for item in found]
        assert spreads == sorted(spreads, reverse=True)

    def test_unknown_names_and_no_name_say_what_to_do(self, api: httpx.Client, served: list[int]) -> None:
        for query, code in (
            ({}, "task_missing"),
            ({"task": "nothing"}, "task_unknown"),
            ({"alias": "nobody"}, "alias_unknown"),
            ({"alias": "champion", "challenger": "nobody"}, "deployment_unknown"),
        ):
            answer = api.get("/v1/label-queue", params=query)
            assert answer.status_code in (400, 404)
            assert answer.json()["error"] == code
