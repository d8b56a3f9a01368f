"""What many open pages cost the API while nothing moves, counted in requests over simulated time."""

import itertools
from functools import partial

import anyio
import httpx
import pytest

from model_ui.authentication import Authenticator
from model_ui.metadata_client import MetadataClient
from model_ui.settings import Settings
from model_ui.shared_reads import Scope, SharedReads
from model_ui.shell.visit import IDLE_SECONDS, LONGEST_SECONDS
from tests.ui.apps import create_app
from tests.ui.fake_api import FakeApi
from tests.ui.fake_callers import me, token

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


@pytest.mark.parametrize("callers", [1, PAGES], ids=["one caller", "callers of their own"])
@pytest.mark.parametrize(
    ("addresses", "seconds"), [(ONE, 12), (MANY, 48)], ids=["one address", "many addresses"]
)
def test_two_hundred_open_pages_cost_less_than_a_request_a_second(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...], seconds: int, callers: int
) -> None:
    fake, clock = FakeApi(), _Clock()
    monkeypatch.setattr("model_ui.app.Authenticator", partial(Authenticator, clock=clock))
    tokens = [token("viewer", number) for number in range(callers)]
    fake.tokens = {one: me("viewer", verified_by="all that are good") for one in tokens}
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
                headers["authorization"] = f"Bearer {tokens[turn % callers]}"
                if address in tags:
                    headers["if-none-match"] = tags[address]
                answer = await http.get(address, headers=headers)
                assert answer.status_code in (200, 304)
                tags[address] = answer.headers["etag"]
                clock.now += IDLE_SECONDS / PAGES

    anyio.run(visit)
    assert len(fake.calls) / seconds < 1


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
