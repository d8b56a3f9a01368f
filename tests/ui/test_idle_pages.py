"""What many open pages cost the API while nothing moves, counted in requests over simulated time."""

import itertools

import anyio
import httpx
import pytest

from model_ui.authentication import FRESH_SECONDS
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings
from model_ui.shared_reads import Scope, SharedReads
from model_ui.shell.visit import IDLE_SECONDS, LONGEST_SECONDS
from tests.ui.apps import create_app
from tests.ui.fake_api import FakeApi

PAGES = 200
BEGIN_SECONDS = 12
"""What pages read when they are opened is left out."""
ONE = ("/experiments",)
MANY = (
    "/experiments", "/experiments?sort=name", "/experiment?name=cnn-fast", "/experiment?name=mlp-poor",
    "/compare?experiments=cnn-fast,mlp-poor", "/models", "/predictions",
)  # fmt: skip


class _Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("addresses", "seconds"), [(ONE, 12), (MANY, 48)], ids=["one address", "many addresses"]
)
def test_two_hundred_open_pages_cost_less_than_a_request_a_second(
    addresses: tuple[str, ...], seconds: int
) -> None:
    fake, clock = FakeApi(), _Clock()
    transport = httpx.ASGITransport(fake.app)
    client = MetadataClient("http://api", transport=transport, reads=SharedReads(clock=clock))
    app = create_app(Settings(allowed_hosts=("marina.example",)), client)
    pages = list(itertools.islice(itertools.cycle(addresses), PAGES))

    async def visit() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://marina.example") as http:
            tags: dict[str, str] = {}
            for turn in range((BEGIN_SECONDS + seconds) * PAGES // round(IDLE_SECONDS)):
                if turn == BEGIN_SECONDS * PAGES // round(IDLE_SECONDS):
                    fake.calls.clear()
                address = pages[turn % PAGES]
                headers = {"accept": "text/html", "marina-live": f"{IDLE_SECONDS:g}"}
                if address in tags:
                    headers["if-none-match"] = tags[address]
                answer = await http.get(address, headers=headers)
                assert answer.status_code in (200, 304)
                tags[address] = answer.headers["etag"]
                clock.now += IDLE_SECONDS / PAGES

    anyio.run(visit)
    # Who the visitor is is asked by real time, of which this takes little.
    reads = [call for call in fake.calls if call != "GET /v1/me"]
    assert len(reads) / seconds + 1 / FRESH_SECONDS < 1


def test_one_open_page_reads_anew_whenever_it_asks() -> None:
    async def run() -> list[bytes]:
        clock, read = _Clock(), itertools.count()
        reads = SharedReads(clock=clock)

        async def ask() -> bytes:
            return str(next(read)).encode()

        found = []
        for _ in range(5):
            for number in range(3):
                key = (Scope("viewer"), f"/{number}")
                found.append(await reads.read(key, ask, 1.5, LONGEST_SECONDS))
            clock.now += IDLE_SECONDS
        return found

    assert anyio.run(run) == [str(number).encode() for number in range(15)]
