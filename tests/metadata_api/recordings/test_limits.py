"""What is not taken, what is counted, and how secret the address is."""

import json
import logging
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.recordings import recorder as recorders
from metadata_api.recordings import storing
from metadata_api.recordings.recorder import Recorder
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.making import open_settings
from tests.metadata_api.recordings.sending import (
    BATCH,
    asked,
    call,
    calls,
    event,
    kept,
    path_of,
    read_again,
    record,
    recording_deployment,
    send,
    settled,
    since,
)
from tests.metadata_api.servers import running
from tests.waiting import until


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
        self, api: httpx.Client, engine: Engine, own_app: FastAPI
    ) -> None:
        events = call(uuid4(), [1, 2, 3])
        for path in (path_of("nobody"), path_of()[:-1], path_of() + "x", "/v1/recordings/pets/" + "a" * 43):
            response = api.post(path, content=json.dumps(events), headers=BATCH)
            assert (response.status_code, response.json()["error"]) == (404, "recording_unknown"), path
        record(engine, "pets", rate=0)
        read_again(own_app)
        assert send(api, events).status_code == 404

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
        url = str(api.base_url)
        monkeypatch.setattr(recorders.Recorder, "offer", _fails)
        assert httpx.post(
            url + path_of(), content=json.dumps(call(uuid4(), [1, 2, 3])), headers=BATCH
        ).is_error
        for path in (path_of() + "x", path_of()):
            assert httpx.post(url + path, content=b"{", headers=BATCH).is_error
            assert httpx.get(url + path).is_error
        ours = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]
        assert any("/v1/recordings/pets/***" in line for line in ours)
        assert not [line for line in ours if key in line]

    def test_it_is_not_shown_with_the_deployment(self, api: httpx.Client) -> None:
        for path in ("/v1/deployments/pets", "/v1/deployments", "/v1/deployments/pets/events"):
            assert path_of().rpartition("/")[2] not in api.get(path).text


def _fails(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")
