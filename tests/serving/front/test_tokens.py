"""Bearer tokens at the front: every address but health, before the body, from a file that changes under it."""

import hashlib
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from .. import archives
from ..conftest import body_of
from ..in_process import InProcessFront, in_process

pytestmark = pytest.mark.anyio
PIXELS = [1, 2, 3, 4, 5, 6]
CLOSED = [
    ("GET", "/v2"),
    ("GET", "/v2/models/summing"),
    ("GET", "/v2/models/summing/config"),
    ("GET", "/v2/models/summing/stats"),
    ("GET", "/v2/models/stats"),
    ("POST", "/v2/models/summing/infer"),
    ("POST", "/v2/models/summing/versions/1/infer"),
    ("GET", "/v2/models/summing/infer"),
    ("POST", "/v2/models/summing/ready"),
    ("POST", "/v2/models/%73umming/infer"),
    ("POST", "/v2/repository/index"),
    ("GET", "/status"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/nothing"),
]
OPEN = [
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/summing/ready",
    "/v2/models/summing/versions/1/ready",
]


def granted(
    text: str, role: str = "annotator", models: list[str] | None = None, **more: Any
) -> dict[str, Any]:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"sha256": digest, "role": role, "models": models, "expires_at": None, **more}


def write(path: Path, *tokens: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"tokens": tokens}))
    os.replace(new, path)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[InProcessFront]:
    """A front with a model and two tokens, which looks at its file at every request."""
    monkeypatch.setattr("serving_runtime.front.tokens.LOOK_SECONDS", 0.0)
    path = tmp_path / "tokens.json"
    write(path, granted("asks"), granted("looks", "viewer"), granted("old", expires_at=time.time() - 1))
    async with in_process(tmp_path, tokens_file=path) as front:
        archive = tmp_path / "summing.mar"
        await front.serve((archives.summing(archive), archive, "1"))
        yield front


async def infer(front: InProcessFront, headers: Any = None, name: str = "summing") -> httpx.Response:
    return await front.client.post(f"/v2/models/{name}/infer", content=body_of(PIXELS), headers=headers)


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_nothing_but_health_is_answered_without_a_token(
    closed: InProcessFront, method: str, path: str
) -> None:
    for headers in ({}, bearer("unknown"), bearer("old"), {"Authorization": "Basic asks"}, bearer("")):
        answer = await closed.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", OPEN)
async def test_health_is_answered_to_everybody(closed: InProcessFront, path: str) -> None:
    assert (await closed.client.get(path)).status_code == 200


async def test_a_token_may_do_what_its_role_may(closed: InProcessFront) -> None:
    assert (await infer(closed, bearer("asks"))).status_code == 200
    assert (await infer(closed, {"authorization": "bearer asks"})).status_code == 200
    too_low = await infer(closed, bearer("looks"))
    assert (too_low.status_code, too_low.json()["code"]) == (403, "forbidden")
    for path in ("/v2", "/status", "/metrics", "/v2/models/summing"):
        assert (await closed.client.get(path, headers=bearer("looks"))).status_code == 200


async def test_a_token_for_metrics_reads_metrics_and_nothing_else(closed: InProcessFront) -> None:
    assert closed.settings.tokens_file
    write(closed.settings.tokens_file, granted("scraper", "viewer", path="/metrics"))
    answer = await closed.client.get("/metrics", headers=bearer("scraper"))
    assert (answer.status_code, "# HELP" in answer.text) == (200, True)
    others = [(method, path) for method, path in CLOSED if path != "/metrics"]
    tricks = [
        ("GET", path) for path in ("/v2/metrics", "/status/metrics", "/metrics/status", "/status?/metrics")
    ]
    for method, path in others + tricks:
        answer = await closed.client.request(method, path, headers=bearer("scraper"))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
        assert "for /metrics and nothing else" in answer.json()["error"]


async def test_a_pipe_or_a_device_in_place_of_the_file_changes_nothing_and_holds_nobody_up(
    closed: InProcessFront,
) -> None:
    path = closed.settings.tokens_file
    assert path
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        path.unlink()
        make(path)
        assert (await infer(closed, bearer("asks"))).status_code == 200


async def test_two_credentials_are_none(closed: InProcessFront) -> None:
    twice = [("Authorization", "Bearer asks"), ("Authorization", "Bearer asks")]
    assert (await infer(closed, twice)).status_code == 401


async def test_a_token_is_limited_to_its_models(closed: InProcessFront) -> None:
    assert closed.settings.tokens_file
    write(
        closed.settings.tokens_file, granted("other", models=["other"]), granted("mine", models=["summing"])
    )
    assert (await infer(closed, bearer("mine"))).status_code == 200
    assert (await infer(closed, bearer("other"))).status_code == 403
    assert (await infer(closed, bearer("mine"), name="other")).status_code == 403


async def test_a_revoked_token_is_rejected_and_an_unreadable_file_changes_nothing(
    closed: InProcessFront,
) -> None:
    path = closed.settings.tokens_file
    assert path
    path.write_text("{")
    assert (await infer(closed, bearer("asks"))).status_code == 200
    path.unlink()
    assert (await infer(closed, bearer("asks"))).status_code == 200
    write(path, granted("another"))
    assert (await infer(closed, bearer("asks"))).status_code == 401
    assert (await infer(closed, bearer("another"))).status_code == 200


async def test_who_was_let_in_is_rejected_once_the_token_has_expired(closed: InProcessFront) -> None:
    path = closed.settings.tokens_file
    assert path
    write(path, granted("short", expires_at=time.time() + 1))
    assert (await infer(closed, bearer("short"))).status_code == 200
    assert (await infer(closed, bearer("short"))).status_code == 200
    await anyio.sleep(1.1)
    assert (await infer(closed, bearer("short"))).status_code == 401


async def test_who_was_let_in_is_remembered_for_a_bounded_number_of_addresses(
    closed: InProcessFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving_runtime.front.tokens.MOST_ALLOWED", 2)
    for name in ("summing", "one", "two", "three", "summing"):
        status = 200 if name == "summing" else 404
        assert (await infer(closed, bearer("asks"), name=name)).status_code == status
    assert (await infer(closed, bearer("looks"))).status_code == 403


async def test_without_a_file_nobody_is_let_in(tmp_path: Path) -> None:
    async with in_process(tmp_path, tokens_file=tmp_path / "none.json") as front:
        assert (await front.client.get("/v2", headers=bearer("asks"))).status_code == 401
        assert (await front.client.get("/v2/health/live")).status_code == 200
