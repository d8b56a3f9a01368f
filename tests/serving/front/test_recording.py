"""Recorded traffic: a real front, a real HTTP server that takes the events, and nobody who waits for it."""

import gzip
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

import orjson
import pytest

from serving_runtime.contracts import PREDICTION_HEADER
from serving_runtime.front import recording_sender
from serving_runtime.front.recorded_calls import Call, Part
from serving_runtime.front.recording_sender import Sender
from serving_runtime.models.metrics import Metrics
from tests.waiting import until

from ..conftest import Front, body_of
from .sink import PATH, Sink, body_in

PIXELS = [1, 2, 3, 4, 5, 6]


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


@pytest.fixture
def front(native_front: Front) -> Front:
    """What is recorded is no business of the runtime."""
    return native_front


@pytest.fixture
def record(front: Front, sink: Sink) -> Iterator[Callable[..., None]]:
    """Says what is recorded of the model `summing`, and waits until the front knows; nothing at the end."""
    file = front.models_file.with_name("recordings.json")

    def write(rate: float, *, answers: bool = True, url: str = "") -> None:
        rule = {"rate": rate, "answers": answers, "url": url or sink.url}
        text = orjson.dumps({"namespace": "models", "models": {"summing": rule} if rate else {}})
        temporary = file.with_suffix(".new")
        temporary.write_bytes(text)
        temporary.replace(file)
        time.sleep(0.7)  # it looks twice a second

    yield write
    file.unlink(missing_ok=True)
    time.sleep(0.7)


def sent(front: Front) -> float:
    return _counter(front, "marina_recordings_sent_total")


def dropped(front: Front, reason: str = "") -> float:
    return _counter(front, "marina_recordings_dropped_total", f'reason="{reason}"' if reason else "")


def _counter(front: Front, name: str, label: str = "") -> float:
    lines = front.client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and label in line)


class TestWhatIsSent:
    def test_a_call_becomes_two_cloud_events_with_one_id_that_the_answer_names(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1)
        before = sent(front)
        answer = front.infer("summing", PIXELS)
        until(lambda: sent(front) == before + 1)
        request, response = sink.events
        assert request["id"] == response["id"] == answer.headers[PREDICTION_HEADER]
        assert uuid.UUID(request["id"]).version == 4
        assert request["type"] == "org.kubeflow.serving.inference.request"
        assert response["type"] == "org.kubeflow.serving.inference.response"
        assert (body_in(request), body_in(response)) == (body_of(PIXELS), answer.content)
        for event in sink.events:
            assert event["specversion"] == "1.0"
            assert event["source"] == "/v2/models/summing"
            assert event["datacontenttype"] == "application/json"
            assert "headercontentlength" not in event
            names = ("inferenceservicename", "namespace", "component", "endpoint", "modelversion")
            assert [event[name] for name in names] == ["summing", "models", "predictor", "default", "1"]
        took = datetime.fromisoformat(response["time"]) - datetime.fromisoformat(request["time"])
        assert 0 < took.total_seconds() < 3
        assert sink.requests == [(PATH, "application/cloudevents-batch+json")]

    def test_a_binary_body_says_how_much_of_it_is_json(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1)
        size = {"binary_data_size": 6}
        image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 3], "parameters": size}
        document = orjson.dumps({"inputs": [image], "parameters": {"binary_data_output": True}})
        headers = {"Inference-Header-Content-Length": str(len(document))}
        body = document + bytes(PIXELS)
        answer = front.client.post("/v2/models/summing/infer", content=body, headers=headers)
        until(lambda: len(sink.events) == 2)
        request, response = sink.events
        assert request["datacontenttype"] == response["datacontenttype"] == "application/octet-stream"
        assert (body_in(request), body_in(response)) == (body, answer.content)
        assert request["headercontentlength"] == len(document)
        assert response["headercontentlength"] == int(answer.headers["inference-header-content-length"])

    def test_bodies_are_sent_as_they_are_without_compression(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1)
        pixels = PIXELS * 100
        answer = front.client.post(
            "/v2/models/summing/infer",
            content=gzip.compress(body_of(pixels)),
            headers={"content-encoding": "gzip", "accept-encoding": "gzip"},
        )
        assert answer.headers["content-encoding"] == "gzip"
        until(lambda: len(sink.events) == 2)
        assert [body_in(event) for event in sink.events] == [body_of(pixels), answer.content]

    def test_without_answers_only_the_request_is_sent(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1, answers=False)
        front.infer("summing", PIXELS)
        until(lambda: sink.events)
        assert [event["type"] for event in sink.events] == ["org.kubeflow.serving.inference.request"]

    def test_what_was_not_answered_is_not_sent(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1)
        assert front.infer("summing", [251, 0, 0, 0, 0, 0]).status_code == 400
        assert front.infer("summing", [1]).status_code == 400
        answers = [front.infer("summing", PIXELS), front.infer("other", PIXELS)]
        assert [PREDICTION_HEADER in answer.headers for answer in answers] == [True, False]
        until(lambda: len(sink.events) == 2)


class TestSampling:
    def test_nothing_is_recorded_unless_it_is_asked_for(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        assert PREDICTION_HEADER not in front.infer("summing", PIXELS).headers
        record(1)
        assert PREDICTION_HEADER in front.infer("summing", PIXELS).headers
        record(0)
        assert PREDICTION_HEADER not in front.infer("summing", PIXELS).headers

    def test_a_change_starts_no_model_anew(self, front: Front, record: Callable[..., None]) -> None:
        before = front.status("summing")
        record(0.5)
        assert front.status("summing") == before

    def test_the_rate_is_the_share_that_has_the_header(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(0.25)
        before = sent(front)
        answers = [front.infer("summing", PIXELS) for _ in range(400)]
        named = {answer.headers.get(PREDICTION_HEADER) for answer in answers} - {None}
        assert 60 <= len(named) <= 140  # 100, give or take 4.6 standard deviations
        until(lambda: sent(front) == before + len(named))
        assert sink.ids == dict.fromkeys(named, 2)

    @pytest.mark.parametrize(
        "text",
        [
            b"no json",
            b"[]",
            b'{"models": {"summing": {"rate": 2, "answers": true, "url": "http://127.0.0.1/"}}}',
            b'{"namespace": "", "models": {"summing": {"rate": 1, "answers": true, "url": "file:///x"}}}',
        ],
        ids=["no JSON", "no object", "no namespace", "no address"],
    )
    def test_a_file_that_cannot_be_read_leaves_the_last_one_in_force(
        self, front: Front, sink: Sink, record: Callable[..., None], text: bytes
    ) -> None:
        record(1)
        front.models_file.with_name("recordings.json").write_bytes(text)
        time.sleep(0.7)
        assert PREDICTION_HEADER in front.infer("summing", PIXELS).headers
        assert "stays as it is" in front.log.read_text()


class TestDelivery:
    def test_every_call_is_recorded_once(self, front: Front, sink: Sink, record: Callable[..., None]) -> None:
        record(1)
        before = sent(front)
        named = {front.infer("summing", PIXELS).headers[PREDICTION_HEADER] for _ in range(500)}
        until(lambda: sent(front) == before + 500)
        assert sink.ids == dict.fromkeys(named, 2)
        assert len(sink.requests) < 250, "they share requests"

    def test_what_is_not_taken_now_is_sent_again(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1)
        before, lost = sent(front), dropped(front)
        sink.statuses = [503, 429]
        named = front.infer("summing", PIXELS).headers[PREDICTION_HEADER]
        until(lambda: sent(front) == before + 1)
        assert (sink.ids, len(sink.requests), dropped(front)) == ({named: 2}, 3, lost)

    def test_what_is_rejected_is_dropped_and_counted(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        record(1)
        before = dropped(front, "rejected")
        sink.statuses = [404]
        front.infer("summing", PIXELS)
        until(lambda: dropped(front, "rejected") == before + 1)
        assert sink.events == []
        assert "answers with 404" in front.log.read_text()
        assert "k" * 43 not in front.log.read_text(), "the address is a credential"

    def test_no_answer_waits_for_a_server_that_does_not_take_it(
        self, front: Front, sink: Sink, record: Callable[..., None]
    ) -> None:
        sink.delay = 2
        record(1)
        slowest = max(_seconds(front) for _ in range(100))
        assert slowest < 1
        sink.delay = 0

    def test_a_server_that_is_away_costs_no_answer(self, front: Front, record: Callable[..., None]) -> None:
        record(1, url="http://127.0.0.1:9" + PATH)
        assert max(_seconds(front) for _ in range(50)) < 1


def _seconds(front: Front) -> float:
    began = time.monotonic()
    assert front.infer("summing", PIXELS).status_code == 200
    return time.monotonic() - began


def test_the_other_runtime_records_too(torchserve_front: Front, sink: Sink) -> None:
    file = torchserve_front.models_file.with_name("recordings.json")
    rule = {"rate": 1, "answers": True, "url": sink.url}
    file.write_bytes(orjson.dumps({"namespace": "models", "models": {"summing": rule}}))
    try:
        until(lambda: PREDICTION_HEADER in torchserve_front.infer("summing", PIXELS).headers)
        until(lambda: len(sink.events) == 2)
    finally:
        file.unlink()


def test_what_is_queued_is_sent_before_the_front_ends(new_front: Callable[..., Front], sink: Sink) -> None:
    front = new_front()
    rule = {"rate": 1, "answers": True, "url": sink.url}
    front.models_file.with_name("recordings.json").write_bytes(
        orjson.dumps({"namespace": "models", "models": {"summing": rule}})
    )
    until(lambda: PREDICTION_HEADER in front.infer("summing", PIXELS).headers)
    sink.events.clear()
    named = [front.infer("summing", PIXELS).headers[PREDICTION_HEADER] for _ in range(20)]
    front.stop()
    assert sink.ids.keys() >= set(named)


class TestTheQueue:
    """It is bounded in calls and in bytes; what has no room is counted, and the caller knows."""

    def test_recorded_and_dropped_are_all_there_were(self, sink: Sink) -> None:
        sink.delay = 0.01
        metrics = Metrics()
        sender = Sender(metrics, queue_calls=50)
        kept = [sender.put(call(sink, f"{number}")) for number in range(2000)]
        until(lambda: len(sink.events) == 2 * sum(kept))
        sender.close()
        counted = counters(metrics)
        assert counted["marina_recordings_sent_total"] == sum(kept)
        assert counted["marina_recordings_dropped_total"] == 2000 - sum(kept) > 0
        assert len(sink.ids) == sum(kept)

    def test_it_is_bounded_in_bytes(self, sink: Sink) -> None:
        sink.delay = 0.2
        sender = Sender(Metrics(), queue_bytes=1000)
        assert [sender.put(call(sink, "x" * size)) for size in (400, 400, 400, 100)] == [
            True,
            True,
            False,
            True,
        ]
        assert not sender.put(call(sink, "x" * 2000))
        sender.close()

    def test_a_full_queue_empties_again(self, sink: Sink) -> None:
        sender = Sender(Metrics(), queue_calls=3)
        assert [sender.put(call(sink, "x")) for _ in range(4)] == [True, True, True, False]
        until(lambda: len(sink.events) == 6)
        assert until(lambda: sender.put(call(sink, "x")))
        sender.close()

    def test_a_large_call_goes_alone_and_the_order_is_kept(self, sink: Sink) -> None:
        sender = Sender(Metrics())
        for number, size in enumerate((10, 5_000_000, 10, 10)):
            sender.put(call(sink, f"{number}" * size))
        until(lambda: len(sink.events) == 8)
        sender.close()
        assert [body_in(event)[:1] for event in sink.events[::2]] == [b"0", b"1", b"2", b"3"]
        assert len(sink.requests) == 3

    def test_a_server_that_answers_byte_by_byte_is_left(
        self, sink: Sink, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording_sender, "POST_SECONDS", 0.3)
        sink.drips = True
        sender = Sender(Metrics())
        sender.put(call(sink, "x"))
        until(lambda: sink.requests)
        sink.drips = False

        def taken() -> bool:
            sender.expire()
            return len(sink.events) > 2  # what was taken without an answer comes again

        until(taken, seconds=5)
        sender.close()

    def test_one_address_that_rejects_costs_the_others_nothing(self, sink: Sink) -> None:
        metrics = Metrics()
        sender = Sender(metrics)
        sink.statuses = [404]
        other = call(sink, "x")._replace(url=sink.url.replace("summing", "other"), model="other")
        sender.put(other)
        sender.put(call(sink, "x"))
        until(lambda: len(sink.events) == 2)
        sender.close()
        assert [event["inferenceservicename"] for event in sink.events] == ["summing", "summing"]


def call(sink: Sink, text: str) -> Call:
    """One call, whose answer is empty."""
    request, response = Part(text.encode(), None, 0.0), Part(b"", None, 1.0)
    return Call(sink.url, str(uuid.uuid4()), "models", "summing", "1", request, response)


def counters(metrics: Metrics) -> dict[str, float]:
    """The sum of each series."""
    found: dict[str, float] = {}
    for line in metrics.text(()).decode().splitlines():
        if not line.startswith("#"):
            name = line.partition("{")[0]
            found[name] = found.get(name, 0) + float(line.split()[-1])
    return found
