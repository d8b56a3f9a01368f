"""Events byte for byte as KServe's agent sends them, and what goes wrong around it."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from metadata_api.recordings import pairing, reading
from metadata_api.recordings.recorder import Recorder
from serving_runtime.protocol import rest
from serving_runtime.protocol.tensors import Tensor
from tests.metadata_api.conftest import row_counts
from tests.metadata_api.recordings.kserve_agent import Agent, new_id, rfc3339_nano
from tests.metadata_api.recordings.sending import (
    answered,
    asked,
    kept,
    path_of,
    read_again,
    recording_deployment,
    settled,
)
from tests.waiting import until

ASKED = json.dumps(asked([1, 2, 3])).encode()
ANSWERED = json.dumps(answered(0.2)).encode()
Counted = dict[str, int]


@pytest.fixture
def agent(api: httpx.Client) -> Iterator[Agent]:
    with Agent(api.base_url, path_of()) as found:
        yield found


def test_the_bytes_are_those_of_go(agent: Agent, engine: Engine) -> None:
    agent.request("7", ASKED)
    kept(engine, 1)
    head, _, body = agent.sent.partition(b"\r\n\r\n")
    names = [line.partition(":")[0] for line in head.decode().splitlines()[1:]]
    assert names[:3] == ["Host", "User-Agent", "Content-Length"]
    assert names[3:-1] == sorted(names[3:-1])
    assert (b"Ce-Endpoint: \r\n" in head, body) == (True, ASKED)
    times = [rfc3339_nano(datetime(2026, 1, 2, 3, 4, 5, micro, UTC)) for micro in (0, 500_000, 123_456)]
    assert [time[19:] for time in times] == ["Z", ".5Z", ".123456Z"]


class TestBothHalves:
    """A request and its answer come by two workers of the agent, in either order."""

    @pytest.mark.parametrize("answer_first", [False, True])
    def test_are_a_prediction(
        self, agent: Agent, engine: Engine, recorder: Recorder, counted: Counted, answer_first: bool
    ) -> None:
        identity = new_id()
        sends: list[Callable[[], int]] = [
            lambda: agent.request(identity, ASKED),
            lambda: agent.response(identity, ANSWERED),
        ]
        assert [send() for send in (reversed(sends) if answer_first else sends)] == [202, 202]
        [row] = kept(engine, 1, status="ok")
        assert (row.uid, row.label, row.lineage["version"], row.latency_ms) == (UUID(identity), "dog", 1, 12)
        settled(recorder, counted, {"stored": 2})

    def test_over_five_connections_in_any_order_each_once(
        self, api: httpx.Client, engine: Engine, recorder: Recorder, counted: Counted
    ) -> None:
        ids = [new_id() for _ in range(40)]
        events = [(one, number, is_answer) for number, one in enumerate(ids) for is_answer in (False, True)]
        random.Random(18).shuffle(events)

        def work(worker: int) -> None:
            with Agent(api.base_url, path_of()) as mine:
                for identity, number, is_answer in events[worker::5]:
                    body = ANSWERED if is_answer else json.dumps(asked([number, 0, 1])).encode()
                    assert (mine.response if is_answer else mine.request)(identity, body) == 202

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(work, range(5)))
        assert len(kept(engine, 40, status="ok")) == 40
        settled(recorder, counted, {"stored": 80})

    def test_an_id_that_a_client_chose_belongs_to_its_deployment(
        self, api: httpx.Client, engine: Engine, own_app: FastAPI
    ) -> None:
        recording_deployment(engine, "others")
        read_again(own_app)
        for name in ("pets", "others"):
            with Agent(api.base_url, path_of(name)) as mine:
                mine.request("call 7", ASKED)
                mine.response("call 7", ANSWERED)
        rows = kept(engine, 2, status="ok")
        assert {row.deployment for row in rows} == {"pets", "others"}
        assert len({row.uid for row in rows}) == 2

    def test_the_same_bytes_again_are_recorded_once(
        self, agent: Agent, engine: Engine, recorder: Recorder, counted: Counted
    ) -> None:
        identity = new_id()
        agent.request(identity, ASKED)
        assert agent.again() == 202
        agent.response(identity, ANSWERED)
        assert agent.again() == 202
        kept(engine, 1, status="ok")
        settled(recorder, counted, {"stored": 2, "repeated": 2})


class TestLostHalves:
    """The agent tells nothing of a failed answer, and what it cannot send is gone."""

    def test_a_request_alone_has_no_answer(self, agent: Agent, engine: Engine) -> None:
        agent.request(new_id(), ASKED)
        [row] = kept(engine, 1, status="unanswered")
        assert row.label is None

    def test_an_answer_alone_is_counted_and_forgotten(
        self,
        agent: Agent,
        engine: Engine,
        recorder: Recorder,
        counted: Counted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(pairing, "WAIT_SECONDS", 0.2)
        agent.response(new_id(), ANSWERED)
        settled(recorder, counted, {"unpaired": 1})
        until(lambda: not len(recorder._waiting), "nothing waits", 5)
        assert row_counts(engine)["predictions"] == 0

    def test_what_is_no_inference_is_counted(
        self, agent: Agent, engine: Engine, recorder: Recorder, counted: Counted
    ) -> None:
        """The agent copies every request that its predictor gets: also those for metadata, whose bodies are empty."""
        identity = new_id()
        assert agent.request(identity, b"", content_type=None) == 202
        assert agent.response(identity, b'{"name": "pets", "versions": ["1"]}', content_type=None) == 202
        settled(recorder, counted, {"unreadable": 2})
        assert row_counts(engine)["predictions"] == 0


class TestBodies:
    """What the agent copies is what went over the wire, without the headers that say how to read it."""

    def test_binary_tensors_are_found(self, agent: Agent, engine: Engine) -> None:
        request, _ = rest.build_binary_request([Tensor("x", "FP32", (2, 3), bytes(24))])
        shares = Tensor("probabilities", "FP32", (2, 2), b"\x00\x00\x80\x3f\x00\x00\x00\x00" * 2)
        response, _ = rest.encode_binary_response("pets", "1", None, [shares], {"probabilities"})
        identity = new_id()
        agent.request(identity, request, content_type="application/octet-stream")
        agent.response(identity, response, content_type="application/octet-stream")
        assert [row.label for row in kept(engine, 2, status="ok")] == ["cat", "cat"]

    @pytest.mark.parametrize(
        "pack",
        [gzip.compress, zlib.compress, lambda body: zlib.compress(body, 1)],
        ids=["gzip", "deflate", "fast"],
    )
    def test_packed_ones_are_unpacked(
        self, agent: Agent, engine: Engine, pack: Callable[[bytes], bytes]
    ) -> None:
        """Most clients ask for gzip, and the front answers so from 1,024 bytes."""
        identity = new_id()
        agent.request(identity, pack(ASKED))
        agent.response(identity, pack(ANSWERED))
        [row] = kept(engine, 1, status="ok")
        assert row.label == "dog"

    def test_what_is_broken_or_a_bomb_is_counted(
        self,
        agent: Agent,
        recorder: Recorder,
        counted: Counted,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(reading, "MAX_UNPACKED", 100_000)
        for body in (gzip.compress(ASKED)[:-9], b"\x1f\x8b" + ASKED, gzip.compress(b" " * 1_000_000)):
            assert agent.request(new_id(), body) == 202
        settled(recorder, counted, {"unreadable": 3})


class TestHeaders:
    """What else it says."""

    def test_metadata_and_annotations_of_any_text(self, agent: Agent, engine: Engine) -> None:
        metadata, annotations = '{"X-Team":["Füße"]}', '{"owner":"Ana \\u003cana@x\\u003e"}'
        sent = agent.request(new_id(), ASKED, ce_metadata=metadata, ce_annotations=annotations)
        assert sent == 202
        kept(engine, 1, status="unanswered")

    @pytest.mark.parametrize(("micro", "nano", "digits"), [(0, 0, 0), (500_000, 0, 1), (123_456, 789, 9)])
    def test_times_of_any_length(
        self, agent: Agent, engine: Engine, micro: int, nano: int, digits: int
    ) -> None:
        at = datetime.now(UTC).replace(microsecond=micro) - timedelta(minutes=5)
        time = rfc3339_nano(at, nano)
        assert len(time.removesuffix("Z")) == 19 + (digits and digits + 1)
        assert agent.request(new_id(), ASKED, ce_time=time) == 202
        [row] = kept(engine, 1, status="unanswered")
        assert row.created_at == at

    @pytest.mark.parametrize("component", ["transformer", "explainer"])
    def test_of_another_component_nothing_is_recorded(
        self, agent: Agent, engine: Engine, recorder: Recorder, counted: Counted, component: str
    ) -> None:
        """It passes the id of a call on to the predictor, whose body is another."""
        assert agent.request("call 7", b'{"instances": []}', ce_component=component) == 400
        agent.request("call 7", ASKED)
        agent.response("call 7", ANSWERED)
        kept(engine, 1, status="ok")
        settled(recorder, counted, {"stored": 2})
