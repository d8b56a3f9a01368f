"""Recorded calls become predictions, each once, whatever comes in whichever order."""

import json
from uuid import uuid4, uuid5

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.database.prediction_tables import Prediction
from metadata_api.recordings import events, storing
from metadata_api.recordings.pairing import Waiting
from metadata_api.recordings.reading import MAX_ROWS
from metadata_api.recordings.recorder import Recorder
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_version
from tests.metadata_api.recordings.sending import (
    BATCH,
    NUMBERS,
    PROBABILITIES,
    answered,
    asked,
    call,
    event,
    kept,
    read_again,
    record,
    send,
    settled,
)
from tests.waiting import until


class TestCalls:
    """What a call becomes."""

    def test_a_call_is_a_prediction_by_the_id_of_its_events(self, api: httpx.Client, engine: Engine) -> None:
        identity = uuid4()
        response = send(api, call(identity, [1, 2.5, 3], sure=0.75))
        assert (response.status_code, response.json()) == (202, {"events": 2})
        kept(engine, 1, status="ok")
        found = api.get(f"/v1/predictions/{identity}").json()
        assert {
            key: found[key] for key in ("deployment", "experiment", "version", "label", "source", "status")
        } == {
            "deployment": "pets",
            "experiment": "pets",
            "version": 1,
            "label": "cat",
            "source": "v2",
            "status": "ok",
        }
        assert [item["probability"] for item in found["probabilities"]] == [0.75, 0.25]
        assert found["latency_ms"] == 12
        lineage = api.get(f"/v1/predictions/{identity}/lineage").json()
        assert (lineage["version"]["present"], lineage["deployment"]["name"]) == (True, "pets")
        [tensor] = api.get(found["input"]["url"]).json()
        assert tensor["data"] == [1, 2.5, 3]

    def test_each_row_of_a_batch_is_a_prediction_of_the_same_call(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        identity = uuid4()
        send(
            api,
            [
                event(identity, asked([0, 0, 1], [0, 0, 2], [0, 0, 3])),
                event(identity, answered(0.9, 0.2, 0.6), answer=True),
            ],
        )
        rows = kept(engine, 3, status="ok")
        assert [row.label for row in rows] == ["cat", "dog", "cat"]
        assert [row.uid for row in rows] == [identity, uuid5(identity, "1"), uuid5(identity, "2")]
        assert {row.request_uid for row in rows} == {identity}
        assert len({row.input_sha256 for row in rows}) == 3

    def test_of_a_large_batch_the_first_rows_are_recorded(self, api: httpx.Client, engine: Engine) -> None:
        identity, many = uuid4(), [[0, 0, number] for number in range(MAX_ROWS + 5)]
        send(api, call(identity, *many))
        assert len(kept(engine, MAX_ROWS, status="ok")) == MAX_ROWS

    def test_without_answers_the_input_is_recorded_alone(
        self,
        api: httpx.Client,
        engine: Engine,
        own_app: FastAPI,
        recorder: Recorder,
        counted: dict[str, int],
    ) -> None:
        record(engine, "pets", answers=False)
        read_again(own_app)
        identity = uuid4()
        send(api, call(identity, [1, 2, 3]))
        [row] = kept(engine, 1, status="unanswered")
        assert (row.label, row.latency_ms, row.version_id is None) == (None, None, False)
        settled(recorder, counted, {"stored": 1, "ignored": 1})

    def test_a_request_whose_model_failed_has_no_answer(self, api: httpx.Client, engine: Engine) -> None:
        identity = uuid4()
        send(api, [event(identity, asked([1, 2, 3]))])
        kept(engine, 1, status="unanswered")
        found = api.get(f"/v1/predictions/{identity}").json()
        assert (found["status"], found["version"], found["latency_ms"], found["error"]) == (
            "unanswered",
            1,
            None,
            None,
        )
        listed = api.get("/v1/predictions", params={"source": "v2", "status": "unanswered"}).json()
        assert [item["prediction_id"] for item in listed["items"]] == [str(identity)]

    def test_the_version_that_answered_counts_and_not_the_desired_one(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        make_version(
            engine,
            2,
            experiment="pets",
            labels=["cat", "dog"],
            inputs=NUMBERS,
            outputs=PROBABILITIES,
        )
        identity = uuid4()
        send(
            api,
            [
                event(identity, asked([1, 2, 3]), modelversion="2"),
                event(identity, answered(0.9, version="2"), answer=True, modelversion="2"),
            ],
        )
        [row] = kept(engine, 1, status="ok")
        assert (row.lineage["version"], row.lineage["desired_version"]) == (2, 1)


class TestOnceAndInAnyOrder:
    """Senders repeat themselves, and nobody orders what they send."""

    def test_what_is_sent_again_is_recorded_once(
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: dict[str, int]
    ) -> None:
        both = call(uuid4(), [1, 2, 3])
        send(api, both + both)
        kept(engine, 1, status="ok")
        settled(recorder, counted, {"stored": 2, "repeated": 2})
        send(api, both)
        settled(recorder, counted, {"stored": 2, "repeated": 4})
        assert row_counts(engine)["predictions"] == 1

    @pytest.mark.parametrize("apart", [False, True])
    def test_an_answer_that_comes_first_finds_its_request(
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: dict[str, int], apart: bool
    ) -> None:
        request, response = call(uuid4(), [1, 2, 3])
        send(api, [response])
        if apart:
            until(lambda: len(recorder._waiting) == 1, "the answer waits", 5)
        send(api, [request])
        [row] = kept(engine, 1, status="ok")
        assert (row.label, row.latency_ms) == ("cat", 12)
        settled(recorder, counted, {"stored": 2})

    def test_an_answer_that_comes_late_is_added(
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: dict[str, int]
    ) -> None:
        identity = uuid4()
        request = event(identity, asked([1, 2, 3], [4, 5, 6]))
        response = event(identity, answered(0.9, 0.1), answer=True, ms=30)
        send(api, [request])
        kept(engine, 2, status="unanswered")
        send(api, [response])
        rows = kept(engine, 2, status="ok")
        assert {row.uid: row.label for row in rows} == {identity: "cat", uuid5(identity, "1"): "dog"}
        assert {row.latency_ms for row in rows} == {30}
        settled(recorder, counted, {"stored": 2})

    def test_an_answer_finds_the_request_that_another_replica_has_recorded(
        self, api: httpx.Client, engine: Engine, own_app: FastAPI, recorder: Recorder
    ) -> None:
        request, response = call(uuid4(), [1, 2, 3])
        send(api, [response])
        until(lambda: len(recorder._waiting) == 1, "the answer waits", 5)
        components = own_app.state.components
        read = events.read("pets", {"content-type": BATCH["content-type"]}, json.dumps([request]).encode())
        storing.store(components.sessions, components.inputs, [("pets", one) for one in read], Waiting())
        kept(engine, 1, status="ok")

    def test_an_answer_whose_request_never_comes_is_counted(
        self,
        api: httpx.Client,
        engine: Engine,
        recorder: Recorder,
        counted: dict[str, int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("metadata_api.recordings.pairing.WAIT_SECONDS", 0.5)
        send(api, call(uuid4(), [1, 2, 3])[1:])
        settled(recorder, counted, {"unpaired": 1})
        assert row_counts(engine)["predictions"] == 0


def test_other_predictions_are_left_alone(api: httpx.Client, engine: Engine) -> None:
    """An id that a client of KServe's agent chose is that of a prediction which is no recording."""
    first = uuid4()
    send(api, call(first, [1, 2, 3]))
    [row] = kept(engine, 1, status="ok")
    with Session(engine) as session, session.begin():
        mine = session.get(Prediction, row.id)
        assert mine
        mine.source, mine.deployment, mine.status = "api", "others", "error"
    send(api, call(first, [4, 5, 6], sure=0.1))
    send(api, call(uuid4(), [7, 8, 9]))
    kept(engine, 1, source="v2")
    [row] = kept(engine, 1, source="api")
    assert (row.label, row.status, row.deployment) == ("cat", "error", "others")
