"""The memory of the API is bounded whatever is asked: single requests by limits, all together by what they hold."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api import memory
from metadata_api.app import create_app
from metadata_api.database import pages
from metadata_api.errors import Unavailable
from metadata_api.memory import Held, Memory
from metadata_api.schemas import experiments
from metadata_api.settings import Max, Settings
from tests.metadata_api.servers import running

MEBIBYTE = 1024 * 1024


class TestHeld:
    def test_there_is_room_up_to_the_total(self) -> None:
        shared = Memory(100)
        one, other = Held(shared), Held(shared)
        assert one.take(60)
        assert not other.take(60)
        one.release()
        assert other.take(60)
        assert shared.used == 60

    def test_what_is_larger_than_all_is_let_alone(self) -> None:
        shared = Memory(100)
        assert Held(shared).take(1000)
        assert not Held(shared).take(1)

    def test_what_runs_on_after_its_request_has_ended_holds_nothing(self) -> None:
        shared = Memory(1000)
        held = Held(shared)
        assert held.take(400)
        held.release()
        assert held.take(400)
        held.give(400)
        assert (shared.used, held.size) == (0, 0)

    def test_whoever_finds_no_room_waits_and_then_gives_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "WAIT_SECONDS", 0.3)
        shared = Memory(memory.SMALL_BYTES * 10)
        first, second = Held(shared), Held(shared)
        assert first.take(memory.SMALL_BYTES * 9)
        token = memory.current.set(second)
        try:
            with pytest.raises(Unavailable, match="Try again"):
                memory.charge(memory.SMALL_BYTES * 3)
            threading.Timer(0.1, first.release).start()
            memory.charge(memory.SMALL_BYTES * 3)
            with memory.charged(memory.SMALL_BYTES * 5):
                assert shared.used == memory.SMALL_BYTES * 8
            assert shared.used == memory.SMALL_BYTES * 3
        finally:
            memory.current.reset(token)

    def test_outside_of_a_request_nothing_is_charged(self) -> None:
        memory.charge(10**12)


@pytest.fixture
def wide(api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """An API with 12 experiments of ten kilobytes each, and pages of fifty."""
    monkeypatch.setattr(pages, "PAGE_BYTES", 50_000)
    for number in range(12):
        body = {"name": f"wide-{number:02}", "parameters": {"p": "x" * 9_000}}
        assert api.post("/v1/experiments", json=body).status_code == 201
    return api


class TestLists:
    def test_a_page_ends_at_so_many_bytes_and_the_next_goes_on(self, wide: httpx.Client) -> None:
        asked: dict[str, str | int] = {"limit": 200, "sort": "name"}
        seen, pages_seen = [], 0
        while True:
            answer = wide.get("/v1/experiments", params=asked)
            seen += [item["name"] for item in answer.json()["items"]]
            pages_seen += 1
            assert len(answer.content) < 1.2 * pages.PAGE_BYTES
            if answer.json()["next"] is None:
                break
            asked["cursor"] = answer.json()["next"]
        assert seen == [f"wide-{number:02}" for number in range(12)]
        assert pages_seen == 3

    def test_in_the_product_it_is_a_mebibyte(self) -> None:
        assert pages.PAGE_BYTES == MEBIBYTE

    def test_a_row_that_is_larger_alone_is_a_page(
        self, wide: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pages, "PAGE_BYTES", 1000)
        page = wide.get("/v1/experiments?limit=5&sort=name").json()
        assert [item["name"] for item in page["items"]] == ["wide-00"]
        assert page["next"]

    def test_small_ones_are_as_many_as_asked_for(self, api: httpx.Client) -> None:
        for number in range(7):
            api.post("/v1/experiments", json={"name": f"small-{number}"})
        first = api.get("/v1/experiments?limit=5").json()
        assert (len(first["items"]), first["total"]) == (5, 7)
        second = api.get("/v1/experiments", params={"limit": 5, "cursor": first["next"]}).json()
        assert (len(second["items"]), second["next"]) == (2, None)

    def test_an_empty_one_is_empty(self, api: httpx.Client) -> None:
        assert api.get("/v1/experiments").json() == {
            "items": [],
            "total": 0,
            "total_is_exact": True,
            "next": None,
        }


class TestSingleRequests:
    def test_curves_have_so_many_points(self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        assert experiments.MAX_NEW_POINTS == 250_000
        monkeypatch.setattr(experiments, "MAX_NEW_POINTS", 1000)
        half = {"steps": list(range(501)), "values": [0.5] * 501}
        answer = api.post(
            "/v1/experiments", json={"name": "long", "curves": {"loss": half, "accuracy": half}}
        )
        assert answer.status_code == 422
        assert "may have 1,000 points" in answer.json()["detail"]
        assert api.post("/v1/experiments", json={"name": "long", "curves": {"loss": half}}).status_code == 201

    @pytest.mark.parametrize("field", ["parameters", "tags"])
    def test_parameters_and_tags_have_so_many_characters(self, api: httpx.Client, field: str) -> None:
        large = {f"key-{number}": "x" * 9_999 for number in range(11)}
        answer = api.post("/v1/experiments", json={"name": "large", field: large})
        assert answer.status_code == 422
        assert "100,000 characters" in answer.json()["detail"]

    def test_many_curves_have_fewer_points_each(
        self, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("metadata_api.curves.MAX_POINTS", 400)
        curve = {"steps": list(range(1000)), "values": [float(step % 7) for step in range(1000)]}
        for name in ("one", "two", "three"):
            assert (
                api.post("/v1/experiments", json={"name": name, "curves": {"loss": curve}}).status_code == 201
            )
        names = "&".join(f"experiment={name}" for name in ("one", "two", "three"))
        found = api.get(f"/v1/curves?{names}&points=5000").json()["curves"]
        assert all(0 < len(each["steps"]) <= 140 for each in found)
        assert len(api.get("/v1/curves?experiment=one&points=5000").json()["curves"][0]["steps"]) <= 410


class TestAllTogether:
    @pytest.fixture
    def small(self, settings: Settings, engine: Engine, clean: None) -> Iterator[httpx.Client]:
        """An application in which all requests may hold two megabytes."""
        tight = settings.model_copy(update={"max": Max(memory_bytes=2 * MEBIBYTE)})
        with running(create_app(tight)) as address, httpx.Client(base_url=address, timeout=30) as client:
            yield client

    def test_a_large_one_beside_another_gets_503_and_what_to_do(
        self, small: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(memory, "WAIT_SECONDS", 0.2)
        slow = threading.Event()

        def trickle() -> Iterator[bytes]:
            yield b'{"name": "first", "description": "' + b"x" * 300_000
            slow.wait(10)
            yield b'"}'

        with ThreadPoolExecutor(1) as pool:
            kind = {"content-type": "application/json"}
            first = pool.submit(small.post, "/v1/experiments", content=trickle(), headers=kind)
            time.sleep(0.3)
            second = small.post("/v1/experiments", content=b'{"a": "' + b"y" * 300_000 + b'"}', headers=kind)
            assert (second.status_code, second.json()["error"]) == (503, "busy")
            assert second.headers["retry-after"] == "1"
            v2 = small.post("/v2/repository/index", content=b" " * 900_000)
            assert (v2.status_code, v2.headers["retry-after"]) == (503, "1")
            assert small.get("/v1/experiments").status_code == 200, "small ones are let through"
            slow.set()
            assert first.result(20).status_code == 422
        assert (
            small.post(
                "/v1/experiments", content=b'{"a": "' + b"y" * 300_000 + b'"}', headers=kind
            ).status_code
            == 422
        )

    def test_nothing_stays_held(self, small: httpx.Client) -> None:
        for _ in range(12):
            small.post(
                "/v1/experiments", content=b"[" * 200_000, headers={"content-type": "application/json"}
            )
            small.post("/v1/predictions", files={"image": b"x" * 500_000})
        assert (
            small.post("/v1/experiments", json={"name": "a", "description": "z" * 9_000}).status_code == 201
        )
