"""Twenty thousand wrong requests beside good ones: each is told what is wrong, and nothing else happens."""

import asyncio
import json
from collections import Counter

import httpx
import pytest

from ..conftest import Front, body_of
from . import wrong_requests

COUNT, AT_ONCE, GOOD_EVERY = 20_000, 8, 10
URL = "/v2/models/summing/infer"


@pytest.mark.long
@pytest.mark.timeout(400)
def test_each_is_a_4xx_and_their_mates_get_right_answers(front: Front) -> None:
    pids = [process.pid for process in front.tree()]
    asyncio.run(ask(front, range(2000)))  # what is made once is there
    before = memory(front)
    wrong, bad_mates, statuses = asyncio.run(ask(front, range(2000, 2000 + COUNT)))
    grown = memory(front) - before
    print(f"{front.runtime}: {dict(statuses)}, {grown / 1e6:.1f} MB more")
    assert wrong == []
    assert bad_mates == []
    assert sum(statuses.values()) == COUNT
    assert [process.pid for process in front.tree()] == pids
    assert front.status("summing")["restarts"] == 0
    assert grown < 50e6


def memory(front: Front) -> int:
    """Bytes that all processes of the front hold for themselves."""
    return sum(process.memory_full_info().uss for process in front.tree())


async def ask(front: Front, seeds: range) -> tuple[list[str], list[str], Counter[int]]:
    """Answers that are no proper 4xx, wrong answers to good requests, and the statuses of the wrong ones."""
    wrong: list[str] = []
    bad_mates: list[str] = []
    statuses: Counter[int] = Counter()
    waiting = iter(seeds)

    async def work(client: httpx.AsyncClient) -> None:
        for seed in waiting:
            request = wrong_requests.make(seed)
            answer = await client.post(URL, content=request.body, headers=request.headers)
            statuses[answer.status_code] += 1
            if not proper(answer):
                wrong.append(
                    f"{request.kind}: {answer.status_code} {answer.text[:200]} {request.body[:300]!r}"
                )
            if seed % GOOD_EVERY == 0:
                pixels = [seed % 200, 2, 3, 4, 5, 6]
                answer = await client.post(URL, content=body_of(pixels))
                if answer.status_code != 200 or answer.json()["outputs"][0]["data"] != [sum(pixels)]:
                    bad_mates.append(f"beside {request.kind}: {answer.status_code} {answer.text[:200]}")

    async with httpx.AsyncClient(base_url=front.url, timeout=20) as client:
        await asyncio.gather(*(work(client) for _ in range(AT_ONCE)))
    return wrong, bad_mates, statuses


def proper(answer: httpx.Response) -> bool:
    """A 4xx with `{"error": text, "code": code}` that is short and does not repeat a large input."""
    if not 400 <= answer.status_code < 500 or len(answer.content) > 3000:
        return False
    said = json.loads(answer.content)
    return isinstance(said, dict) and said.keys() == {"error", "code"} and bool(said["error"])
