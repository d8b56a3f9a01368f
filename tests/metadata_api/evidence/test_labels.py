"""A label says what is right about an input; a correction supersedes it, and nothing of what was said is lost."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, insert, text, update
from sqlalchemy.orm import Session

from metadata_api import retention
from metadata_api.database.prediction_tables import Input
from metadata_api.database.session import Sessions
from metadata_api.database.tables import ModelVersion
from metadata_api.settings.stores import Retention
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.evidence.answering import (
    BOXES,
    NUMBER,
    TEXT,
    answered,
    inputs,
    record,
    sha,
    versions_of_task,
)
from tests.metadata_api.making import make_experiment, make_version

FIVE = {"task": "digits", "label": "5"}


# Of these inputs the only one of the random slice of `digits`.
DRAWN = 7


@pytest.fixture
def digits(api: httpx.Client, engine: Engine) -> int:
    """A version of the task digits, and ten inputs."""
    [version] = versions_of_task(engine, "digits")
    inputs(engine, range(10))
    return version


def label(api: httpx.Client, at: int, **body: Any) -> httpx.Response:
    return api.post(f"/v1/inputs/{sha(at)}/labels", json=body)


def history(api: httpx.Client, number: int, **query: Any) -> list[dict[str, Any]]:
    answer = api.get(f"/v1/inputs/{sha(number)}/labels", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


class TestLabelling:
    def test_says_who_said_what_and_that_it_is_current(self, api: httpx.Client, digits: int) -> None:
        answer = label(api, 1, **FIVE, note="a hook on top", chosen="queue")
        assert answer.status_code == 201
        said = answer.json()
        assert (said["label"], said["note"], said["chosen"]) == ("5", "a hook on top", "queue")
        assert (said["author"], said["current"], said["supersedes"]) == ("anonymous", True, None)
        assert history(api, 1) == [said]

    def test_a_correction_supersedes_and_the_first_stays_as_history(
        self, api: httpx.Client, digits: int
    ) -> None:
        first = label(api, 1, **FIVE).json()
        second = label(api, 1, task="digits", label="3").json()
        assert second["supersedes"] == first["id"]
        newest, oldest = history(api, 1)
        assert (newest["label"], newest["current"]) == ("3", True)
        assert (oldest["label"], oldest["current"]) == ("5", False)
        assert oldest["superseded_at"] == newest["created_at"]

    def test_a_correction_keeps_how_the_input_was_chosen(self, api: httpx.Client, digits: int) -> None:
        label(api, DRAWN, **FIVE, chosen="random")
        assert label(api, DRAWN, task="digits", label="3").json()["chosen"] == "random"

    def test_nobody_says_that_an_input_was_drawn_at_random_which_was_not(
        self, api: httpx.Client, digits: int
    ) -> None:
        answer = label(api, 1, **FIVE, chosen="random")
        assert (answer.status_code, answer.json()["error"]) == (400, "chosen_invalid")
        assert "not of the random slice" in answer.json()["detail"]
        assert history(api, 1) == []
        assert label(api, 1, **FIVE, chosen="queue").status_code == 201

    def test_the_same_said_again_changes_nothing(self, api: httpx.Client, digits: int) -> None:
        first = label(api, 1, **FIVE)
        again = label(api, 1, **FIVE)
        assert (again.status_code, again.json()) == (200, first.json())

    def test_of_many_annotators_at_once_one_is_current_and_each_superseded_one(
        self, api: httpx.Client, engine: Engine, digits: int
    ) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda at: label(api, 1, task="digits", label=str(at % 10)), range(40)))
        assert {answer.status_code for answer in answers} <= {200, 201}
        said = history(api, 1, limit=200)
        assert [one["current"] for one in said] == [True] + [False] * (len(said) - 1)
        assert [one["supersedes"] for one in said] == [one["id"] for one in said[1:]] + [None]
        for newer, older in zip(said, said[1:], strict=False):
            assert older["superseded_at"] == newer["created_at"] >= older["created_at"]

    def test_one_that_is_taken_back_counts_no_longer_and_stays_as_history(
        self, api: httpx.Client, digits: int
    ) -> None:
        first = label(api, 1, **FIVE, chosen="queue").json()
        gone = api.delete(f"/v1/inputs/{sha(1)}/labels", params={"task": "digits"})
        assert (gone.status_code, gone.json()["id"], gone.json()["current"]) == (200, first["id"], False)
        assert history(api, 1) == [gone.json()]
        again = api.delete(f"/v1/inputs/{sha(1)}/labels", params={"task": "digits"})
        assert (again.status_code, again.json()["error"]) == (404, "label_unknown")
        second = label(api, 1, **FIVE)
        assert (second.status_code, second.json()["supersedes"]) == (201, None)

    def test_of_two_at_once_the_second_is_told_what_the_first_said(
        self, api: httpx.Client, digits: int
    ) -> None:
        first = label(api, 1, **FIVE, supersedes=0)
        assert first.status_code == 201
        second = label(api, 1, task="digits", label="3", supersedes=0)
        assert (second.status_code, second.json()["error"]) == (409, "label_changed")
        assert "said '5' about this input meanwhile" in second.json()["detail"]
        assert label(api, 1, **FIVE, supersedes=0).json() == first.json(), "both say the same"
        corrected = label(api, 1, task="digits", label="3", supersedes=first.json()["id"])
        assert (corrected.status_code, corrected.json()["supersedes"]) == (201, first.json()["id"])

    def test_of_many_who_all_see_no_label_one_is_first(self, api: httpx.Client, digits: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            said = list(
                pool.map(lambda at: label(api, 1, task="digits", label=str(at), supersedes=0), range(8))
            )
        assert sorted(answer.status_code for answer in said) == [201] + [409] * 7
        assert len(history(api, 1)) == 1

    def test_only_what_one_said_is_taken_back(self, api: httpx.Client, digits: int) -> None:
        mine = label(api, 1, **FIVE).json()["id"]
        theirs = label(api, 1, task="digits", label="3").json()["id"]
        url, task = f"/v1/inputs/{sha(1)}/labels", {"task": "digits"}
        late = api.delete(url, params={**task, "label": mine})
        assert (late.status_code, late.json()["error"]) == (409, "label_changed")
        assert history(api, 1)[0]["current"]
        assert api.delete(url, params={**task, "label": theirs}).status_code == 200
        again = label(api, 1, **FIVE, supersedes=theirs)
        assert (again.status_code, "taken back meanwhile" in again.json()["detail"]) == (409, True)

    def test_history_comes_in_pages(self, api: httpx.Client, digits: int) -> None:
        for digit in range(5):
            label(api, 1, task="digits", label=str(digit))
        page = api.get(f"/v1/inputs/{sha(1)}/labels", params={"limit": 2}).json()
        assert ([one["label"] for one in page["items"]], page["total"]) == (["4", "3"], 5)
        rest = api.get(f"/v1/inputs/{sha(1)}/labels", params={"limit": 9, "cursor": page["next"]}).json()
        assert ([one["label"] for one in rest["items"]], rest["next"]) == (["2", "1", "0"], None)

    def test_is_in_the_audit_log(self, api: httpx.Client, digits: int) -> None:
        label(api, 1, **FIVE)
        label(api, 1, task="digits", label="3")
        newest = api.get("/v1/audit").json()["items"][0]
        assert newest["route"] == "POST /v1/inputs/{sha256}/labels"
        old, new = newest["changes"]
        assert (old["table"], old["key"]) == ("labels", sha(1))
        assert old["after"].keys() == {"superseded_at"}
        assert new["after"]["label"] == "3"


class TestWhatATaskTakes:
    @pytest.mark.parametrize(
        "wrong", [{"number": 5}, {"text": "five"}, {"label": "ten"}, {}, {"label": "5", "number": 5}]
    )
    def test_another_answer_is_rejected_and_told_what_the_task_takes(
        self, api: httpx.Client, engine: Engine, digits: int, wrong: dict[str, Any]
    ) -> None:
        answer = label(api, 1, task="digits", **wrong)
        assert (answer.status_code, answer.json()["error"]) == (400, "label_invalid")
        assert "takes a label, one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9." in answer.json()["detail"]
        assert row_counts(engine)["labels"] == 0

    def test_a_number_or_a_text_where_models_give_that(self, api: httpx.Client, engine: Engine) -> None:
        versions_of_task(engine, "houses", outputs=NUMBER, labels=[])
        versions_of_task(engine, "language", outputs=TEXT, labels=[])
        inputs(engine, [1])
        assert label(api, 1, task="houses", number=250000.5).json()["number"] == 250000.5
        assert label(api, 1, task="language", text=" en\n").json()["text"] == "en"
        rejected = label(api, 1, task="houses", label="5").json()["detail"]
        assert rejected == "Task houses takes a number in EUR."
        assert len(history(api, 1)) == 2
        assert len(history(api, 1, task="language")) == 1

    @pytest.mark.parametrize(
        ("kind", "summary", "fits"),
        [
            ("row", {"values": {"area": 80, "rooms": 3}, "columns": 2}, True),
            ("row", {"values": {"area": 80, "colour": "red"}, "columns": 2}, False),
            ("row", {"values": {"area": 80, "rooms": 3}, "columns": 21}, False),
            ("tensors", {"tensors": [{"name": "row", "datatype": "FP32", "shape": [1, 2]}]}, True),
            ("tensors", {"tensors": [{"name": "image", "datatype": "FP32", "shape": [1, 2]}]}, False),
            ("image", {}, False),
            ("text", {"text": "80 m2", "characters": 5}, False),
        ],
    )
    def test_only_an_input_that_its_models_take(
        self, api: httpx.Client, engine: Engine, kind: str, summary: dict[str, Any], fits: bool
    ) -> None:
        columns = [{"name": "area"}, {"name": "rooms"}]
        table = {"name": "row", "datatype": "FP32", "shape": [-1, 2], "kind": "table", "columns": columns}
        make_experiment(engine, "houses")
        make_version(engine, experiment="houses", inputs=[table], outputs=NUMBER, labels=[])
        with Session(engine) as session, session.begin():
            session.execute(update(ModelVersion).values(task="houses"))
            new = {"sha256": sha(1), "kind": kind, "media_type": "text/plain", "size": 1, "summary": summary}
            session.execute(insert(Input).values(new))
        answer = label(api, 1, task="houses", number=250000.5)
        if fits:
            assert answer.status_code == 201
            return
        assert (answer.status_code, answer.json()["error"]) == (400, "input_of_other_task")
        assert answer.json()["detail"] == (
            f"This input ({kind}) is none that models of task houses take, which is table. "
            "Label it for a task whose models take it."
        )
        assert row_counts(engine)["labels"] == 0

    def test_any_label_where_no_labels_are_known_and_none_where_answers_cannot_be_compared(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        plain = [{"name": "label", "datatype": "BYTES", "shape": [-1, 1], "kind": "label"}]
        versions_of_task(engine, "animals", outputs=plain, labels=[])
        versions_of_task(engine, "faces", outputs=BOXES, labels=[])
        inputs(engine, [1])
        assert label(api, 1, task="animals", label="okapi").status_code == 201
        answer = label(api, 1, task="faces", label="okapi")
        assert (answer.status_code, "takes no labels" in answer.json()["detail"]) == (400, True)

    def test_an_unknown_task_names_those_there_are(self, api: httpx.Client, digits: int) -> None:
        answer = label(api, 1, task="digit", label="5")
        assert (answer.status_code, answer.json()["error"]) == (404, "task_unknown")
        assert "Tasks are digits." in answer.json()["detail"]

    def test_an_unknown_input_is_404(self, api: httpx.Client, digits: int) -> None:
        for answer in (label(api, 99, **FIVE), api.get(f"/v1/inputs/{sha(99)}/labels")):
            assert (answer.status_code, answer.json()["error"]) == (404, "input_unknown")


class TestWhatStays:
    """Labels are people's work: no rule deletes them, and whoever deletes their input is told."""

    def test_deleting_an_input_names_its_labels_and_takes_them_along(
        self, api: httpx.Client, engine: Engine, digits: int
    ) -> None:
        label(api, 1, **FIVE)
        label(api, 1, task="digits", label="3")
        api.put(f"/v1/inputs/{sha(1)}/skips", json={"task": "digits"}).raise_for_status()
        answer = api.delete(f"/v1/inputs/{sha(1)}")
        assert (answer.status_code, answer.json()["error"]) == (409, "has_dependents")
        assert "2 labels, which people gave" in answer.json()["detail"]
        assert api.delete(f"/v1/inputs/{sha(1)}", params={"dry_run": True}).json()["labels"] == 2
        assert row_counts(engine)["labels"] == 2
        assert api.delete(f"/v1/inputs/{sha(1)}", params={"cascade": True}).json()["labels"] == 2
        assert (row_counts(engine)["labels"], row_counts(engine)["label_skips"]) == (0, 0)

    def test_deleting_the_last_prediction_leaves_a_labelled_input(
        self, api: httpx.Client, engine: Engine, digits: int
    ) -> None:
        record(engine, [answered(digits, 1, label="5"), answered(digits, 2, label="5")])
        label(api, 1, **FIVE)
        for item in api.get("/v1/predictions").json()["items"]:
            api.delete(f"/v1/predictions/{item['prediction_id']}").raise_for_status()
        assert api.get(f"/v1/inputs/{sha(1)}/labels").status_code == 200
        assert api.get(f"/v1/inputs/{sha(2)}/labels").status_code == 404

    def test_retention_leaves_labelled_inputs_and_what_models_said_about_them(
        self, api: httpx.Client, engine: Engine, sessions: Sessions
    ) -> None:
        [version] = versions_of_task(engine, "digits")
        inputs(engine, range(5))
        record(engine, [answered(version, number, label="5") for number in range(5)] * 1)
        with engine.begin() as connection:
            connection.execute(text("update predictions set created_at = now() - interval '100 days'"))
        label(api, 1, **FIVE)
        label(api, 3, **FIVE)
        for limit in ({"predictions_days": 10}, {"predictions_rows": 1}, {"inputs_bytes": 1}):
            while retention.apply(sessions, Retention(**limit)):
                pass
            counts = row_counts(engine)
            assert (counts["predictions"], counts["inputs"], counts["labels"]) == (2, 2, 2)


def test_a_skip_can_be_taken_back(api: httpx.Client, engine: Engine, digits: int) -> None:
    address = f"/v1/inputs/{sha(1)}/skips"
    for _ in range(2):
        assert api.put(address, json={"task": "digits"}).status_code == 204
    assert row_counts(engine)["label_skips"] == 1
    for _ in range(2):
        assert api.delete(address, params={"task": "digits"}).status_code == 204
    assert row_counts(engine)["label_skips"] == 0
