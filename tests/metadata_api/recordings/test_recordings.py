"""Recorded traffic over HTTP to a real Postgres: every event is recorded once, whatever comes in whichever order."""

import gzip
import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from metadata_api.app import create_app
from metadata_api.database.prediction_tables import Prediction
from metadata_api.recordings import recorder as recorders
from metadata_api.recordings import storing
from metadata_api.recordings.reading import MAX_ROWS
from metadata_api.recordings.recorder import Recorder
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import make_image, make_version, open_settings
from tests.metadata_api.recordings.sending import (
    BATCH,
    answered,
    asked,
    by_agent,
    call,
    calls,
    event,
    kept,
    path_of,
    record,
    recording_deployment,
    send,
)
from tests.metadata_api.servers import running
from tests.waiting import until

IMAGE = [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28], "accepts": ["UINT8", "FP32", "BYTES"]}]
LABELS = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def engine(own_engine: Engine) -> Engine:
    return own_engine


@pytest.fixture(scope="module")
def own_app(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("recordings")
    return create_app(open_settings(engine, folder, "http://127.0.0.1:9"))


@pytest.fixture(scope="module")
def address(own_app: FastAPI) -> Iterator[str]:
    with running(own_app) as address:
        yield address


@pytest.fixture
def recorder(own_app: FastAPI) -> Recorder:
    found = own_app.state.components.recorder
    assert isinstance(found, Recorder)
    return found


@pytest.fixture
def api(address: str, own_app: FastAPI, clean: None, engine: Engine) -> Iterator[httpx.Client]:
    recording_deployment(engine)
    routes = own_app.state.components.routes
    with httpx.Client(base_url=address, timeout=30) as client:
        until(
            lambda: routes.last is not None and "pets" in routes.last.deployments, "the deployment is known"
        )
        yield client


@pytest.fixture
def counted(recorder: Recorder) -> dict[str, int]:
    """What was counted before the test."""
    return dict(recorder.events)


def since(recorder: Recorder, before: dict[str, int]) -> dict[str, int]:
    """What has been counted since then."""
    return {name: more for name, count in recorder.events.items() if (more := count - before.get(name, 0))}


def settled(recorder: Recorder, before: dict[str, int], expected: dict[str, int]) -> None:
    until(lambda: since(recorder, before) == expected, f"{expected} is counted", 20)


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
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: dict[str, int]
    ) -> None:
        record(engine, "pets", answers=False)
        until(lambda: not _recording(api, own=recorder), "the setting is known", 5)
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
            inputs=NUMBERS_OF_PETS,
            outputs=OUTPUTS_OF_PETS,
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


NUMBERS_OF_PETS = [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
OUTPUTS_OF_PETS = [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "kind": "probabilities"}]


def _recording(api: httpx.Client, own: Recorder) -> bool:
    """Whether answers are taken now, by an event that changes nothing else."""
    before = own.events["ignored"]
    send(api, [event(uuid4(), {}, answer=True)]).raise_for_status()
    return own.events["ignored"] == before


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
        from metadata_api.recordings import events as reading_events
        from metadata_api.recordings.pairing import Waiting

        read = reading_events.read(
            "pets", {"content-type": BATCH["content-type"]}, json.dumps([request]).encode()
        )
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


class TestKServesAgent:
    """One event in each request, in binary mode, as pkg/logger of KServe sends it."""

    def test_both_events_of_a_call_are_a_prediction(self, api: httpx.Client, engine: Engine) -> None:
        identity = str(uuid4())
        for body, answer in ((asked([1, 2, 3]), False), (answered(0.2), True)):
            api.post(
                path_of(), **by_agent(identity, json.dumps(body).encode(), answer=answer)
            ).raise_for_status()
        [row] = kept(engine, 1, status="ok")
        assert (row.uid, row.label, row.lineage["version"]) == (UUID(identity), "dog", 1)

    def test_an_id_that_is_no_uuid_belongs_to_its_deployment(self, api: httpx.Client, engine: Engine) -> None:
        recording_deployment(engine, "others")
        until(
            lambda: api.post(path_of("others"), **by_agent("7", b"{}")).status_code == 202, "it is known", 5
        )
        for name in ("pets", "others"):
            for body, answer in ((asked([1, 2, 3]), False), (answered(0.2), True)):
                sent = by_agent("call 7", json.dumps(body).encode(), answer=answer)
                api.post(path_of(name), **sent).raise_for_status()
        rows = kept(engine, 2, status="ok")
        assert {row.deployment for row in rows} == {"pets", "others"}
        assert len({row.uid for row in rows}) == 2

    def test_binary_tensors_are_found_though_it_drops_their_header(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        numbers = Tensor("x", "FP32", (2, 3), bytes(24))
        request, _ = rest.build_binary_request([numbers])
        shares = Tensor("probabilities", "FP32", (2, 2), b"\x00\x00\x80\x3f\x00\x00\x00\x00" * 2)
        response, _ = rest.encode_binary_response("pets", "1", None, [shares], {"probabilities"})
        for body, answer in ((request, False), (response, True)):
            sent = by_agent("9", body, answer=answer, content_type="application/octet-stream")
            api.post(path_of(), **sent).raise_for_status()
        assert [row.label for row in kept(engine, 2, status="ok")] == ["cat", "cat"]


class TestKinds:
    """What was sent is kept as what people can look at."""

    @pytest.fixture
    def digits(self, api: httpx.Client, engine: Engine, own_app: FastAPI) -> None:
        outputs = [{**OUTPUTS_OF_PETS[0], "shape": [-1, 10]}]
        recording_deployment(engine, "digits", inputs=IMAGE, outputs=outputs, labels=LABELS)
        routes = own_app.state.components.routes
        until(lambda: "digits" in routes.last.deployments, "the deployment is known")

    def test_an_image_file_is_the_input_that_pages_send(
        self, digits: None, api: httpx.Client, engine: Engine
    ) -> None:
        file = make_image(90)
        sent = rest.build_request([Tensor("image", "BYTES", (1,), [file])])
        send(api, [event(uuid4(), json.loads(sent))], "digits")
        [row] = kept(engine, 1, status="unanswered")
        response = api.get(f"/v1/inputs/{row.input_sha256}")
        assert response.headers["content-type"] == "image/png"

    def test_pixels_are_an_image(self, digits: None, api: httpx.Client, engine: Engine) -> None:
        pixels = [at % 256 for at in range(28 * 28)]
        tensor = {"name": "image", "shape": [1, 28, 28], "data": pixels}
        for datatype in ("UINT8", "FP32"):
            send(api, [event(uuid4(), {"inputs": [{**tensor, "datatype": datatype}]})], "digits")
        rows = kept(engine, 2, status="unanswered")
        assert len({row.input_sha256 for row in rows}) == 1, "the same picture is the same input"
        [listed] = api.get("/v1/inputs").json()["items"]
        assert (listed["kind"], listed["summary"]) == ("image", {"width": 28, "height": 28})

    def test_numbers_that_are_no_image_of_8_bits_stay_as_they_are(
        self, digits: None, api: httpx.Client, engine: Engine
    ) -> None:
        data = [0.25 + at / 1000 for at in range(28 * 28)]
        tensor = {"name": "image", "datatype": "FP32", "shape": [1, 28, 28], "data": data}
        send(api, [event(uuid4(), {"inputs": [tensor]})], "digits")
        kept(engine, 1, status="unanswered")
        [listed] = api.get("/v1/inputs").json()["items"]
        assert listed["kind"] == "tensors"


class TestRejected:
    """What is wrong is said to whoever sent it, or counted, and stores nothing."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"specversion": "0.3"}, "specversion"),
            ({"type": "org.example.other"}, "type"),
            ({"id": ""}, "id must"),
            ({"id": 5}, "id must"),
            ({"source": None}, "source"),
            ({"time": "yesterday"}, "time"),
            ({"headercontentlength": "-1"}, "headercontentlength"),
            ({"data_base64": "%%%"}, "data_base64"),
        ],
    )
    def test_a_malformed_event_rejects_its_batch(
        self, api: httpx.Client, engine: Engine, change: dict[str, Any], said: str
    ) -> None:
        response = send(api, [*call(uuid4(), [1, 2, 3]), event(uuid4(), asked([1, 2, 3])) | change])
        assert response.status_code == 400
        assert response.json()["error"] == "event_invalid"
        assert "Event 2" in response.json()["detail"]
        assert said in response.json()["detail"]
        assert row_counts(engine)["predictions"] == 0

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            (BATCH["content-type"], b"{"),
            (BATCH["content-type"], b'{"a": 1}'),
            (BATCH["content-type"], b"[1]"),
            (BATCH["content-type"], b"[" + b"{}," * 2000 + b"{}]"),
            ("application/cloudevents+json", b"[]"),
            ("application/json", b"{}"),
            ("", b""),
        ],
    )
    def test_what_is_no_event_is_rejected(self, api: httpx.Client, content_type: str, body: bytes) -> None:
        response = api.post(path_of(), content=body, headers={"content-type": content_type})
        assert (response.status_code, response.json()["error"]) == (400, "event_invalid")

    def test_bodies_that_cannot_be_read_are_counted_and_spoil_nothing(
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: dict[str, int]
    ) -> None:
        bad = [
            event(uuid4(), {"inputs": []}),
            event(uuid4(), b"\xff\x00"),
            event(uuid4(), asked([1, 2, 3]), modelversion="77"),
            event(uuid4(), asked([1, 2])),
        ]
        strange = uuid4()
        mute = [event(strange, asked([7, 8, 9])), event(strange, {"outputs": "none"}, answer=True)]
        send(api, [*bad, *call(uuid4(), [1, 2, 3]), *mute])
        kept(engine, 1, status="ok")
        kept(engine, 1, status="unanswered")
        settled(recorder, counted, {"unreadable": 5, "stored": 3})

    def test_an_event_that_the_database_does_not_take_spoils_nothing_else(
        self,
        api: httpx.Client,
        engine: Engine,
        recorder: Recorder,
        counted: dict[str, int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        poison = uuid4()
        whole = storing._rows

        def rows(one: Any, *others: Any) -> Any:
            if one.call.id == poison:
                raise RuntimeError("planted")
            return whole(one, *others)

        monkeypatch.setattr(storing, "_rows", rows)
        found = calls(5)
        send(api, [*call(poison, [9, 9, 9]), *(one for both in found.values() for one in both)])
        kept(engine, 5, status="ok")
        settled(recorder, counted, {"stored": 10, "failed": 2})

    def test_nothing_is_taken_that_is_not_recorded_or_comes_with_another_key(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        events = call(uuid4(), [1, 2, 3])
        for path in (path_of("nobody"), path_of()[:-1], path_of() + "x", "/v1/recordings/pets/" + "a" * 43):
            response = api.post(path, content=json.dumps(events), headers=BATCH)
            assert (response.status_code, response.json()["error"]) == (404, "recording_unknown"), path
        record(engine, "pets", rate=0)
        until(lambda: send(api, events).status_code == 404, "nothing is recorded any more", 5)

    def test_a_body_over_the_limit_is_rejected(self, api: httpx.Client) -> None:
        response = api.post(path_of(), content=b" " * (17 * 1024 * 1024), headers=BATCH)
        assert response.status_code == 413


class TestQueue:
    """What the API takes it keeps; what it has no room for it says so."""

    def test_a_full_queue_is_a_503_and_nothing_that_was_taken_is_lost(
        self,
        api: httpx.Client,
        engine: Engine,
        recorder: Recorder,
        counted: dict[str, int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(recorders, "MAX_EVENTS", 20)
        monkeypatch.setattr(recorders, "RETRY_SECONDS", 0.1)
        stuck = {"is": True}
        whole = storing.store

        def store(*given: Any) -> Any:
            if stuck["is"]:
                raise OSError("the disk is away")
            return whole(*given)

        monkeypatch.setattr(storing, "store", store)
        taken = rejected = 0
        for both in calls(20).values():
            response = send(api, both)
            taken += 2 * (response.status_code == 202)
            rejected += 2 * (response.status_code == 503)
            if response.status_code == 503:
                assert response.headers["retry-after"] == "1"
                assert response.json()["error"] == "recordings_full"
        assert (taken, rejected) == (20, 20)
        stuck["is"] = False
        kept(engine, 10, status="ok")
        settled(recorder, counted, {"stored": 20, "full": 20})

    def test_what_was_taken_is_recorded_before_the_api_ends(
        self, engine: Engine, clean: None, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        recording_deployment(engine)
        app = create_app(open_settings(engine, tmp_path_factory.mktemp("ending"), "http://127.0.0.1:9"))
        with running(app) as address, httpx.Client(base_url=address) as api:
            for both in calls(50).values():
                send(api, both).raise_for_status()
        assert row_counts(engine)["predictions"] == 50

    def test_metrics_say_what_became_of_everything(self, api: httpx.Client, engine: Engine) -> None:
        send(api, call(uuid4(), [1, 2, 3]))
        kept(engine, 1, status="ok")
        until(
            lambda: 'recorded_events_total{outcome="stored"} 0' not in api.get("/metrics").text, "counted", 5
        )
        text = api.get("/metrics").text
        assert 'marina_api_recorded_predictions_total{source="v2"}' in text
        assert 'route="/v1/recordings/{deployment}/{key}"' in text
        assert path_of().rpartition("/")[2] not in text

    @pytest.mark.long
    def test_ten_thousand_calls_are_ten_thousand_predictions(
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: dict[str, int]
    ) -> None:
        found = list(calls(10_000).values())
        again = 0
        for first in range(0, len(found), 100):
            events = [one for both in found[first : first + 100] for one in both]
            while send(api, events).status_code == 503:
                again += 1
                until(lambda: recorder.queued < 1000, "there is room", 60)
        until(lambda: recorder.queued == 0, "all are recorded", 240)
        assert row_counts(engine)["predictions"] == 10_000
        assert row_counts(engine)["inputs"] == 10_000
        expected = {"stored": 20_000} | ({"full": 200 * again} if again else {})
        assert since(recorder, counted) == expected


class TestSecrecy:
    """The address is the secret, and who may know it asks for it."""

    def test_its_key_is_in_no_line_of_the_log(
        self,
        api: httpx.Client,
        own_app: FastAPI,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        key = path_of().rpartition("/")[2]
        caplog.set_level(logging.DEBUG)
        monkeypatch.setattr(recorders.Recorder, "offer", _fails)
        assert send(api, call(uuid4(), [1, 2, 3])).status_code == 500
        api.post(path_of() + "x", content=b"[]", headers=BATCH)
        api.get(path_of())
        api.post(path_of(), content=gzip.compress(b"[]"), headers=BATCH)
        assert any("/v1/recordings/pets/***" in record.getMessage() for record in caplog.records)
        assert key not in caplog.text

    def test_it_is_shown_by_an_address_of_its_own_and_not_with_the_deployment(
        self, api: httpx.Client, engine: Engine
    ) -> None:
        shown = api.get("/v1/recordings/pets").json()
        assert shown == {"path": path_of()}
        assert path_of().rpartition("/")[2] not in api.get("/v1/deployments/pets").text
        assert api.get("/v1/recordings/nobody").status_code == 404


def _fails(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


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
