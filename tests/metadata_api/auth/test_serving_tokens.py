"""What the servers of models check tokens against: kept in its place, whoever deletes or damages it there."""

import asyncio
import base64
import json
import os
import re
import shutil
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from metadata_api.app import ACCESS, create_app
from metadata_api.auth.principal import Principal
from metadata_api.auth.serving_tokens import ServingTokens
from metadata_api.auth.tokens import Credential, TokenTable, digest
from metadata_api.deploying.kserve import document_secret
from metadata_api.errors import Unavailable
from metadata_api.kept_document import INTERVAL_SECONDS, DocumentFile
from metadata_api.settings import Settings
from serving_runtime.contracts import Role
from tests.databases import own_database
from tests.metadata_api.auth.conftest import client_of, folder_of, issue
from tests.metadata_api.deploying.kserve.fake_kubernetes import SECRET, FakeKubernetes, rejecting
from tests.metadata_api.deploying.kserve.stage import CONFIG, kserve_settings
from tests.metadata_api.deploying.rounds import QUICK
from tests.metadata_api.servers import running
from tests.waiting import until

NAME = "marina-serving-tokens"
ADMIN = f"mrn_0123456789ab_{'s' * 43}"
METRICS = f"mrn_abcdefabcdef_{'p' * 43}"
# The interval of looking at a file is half a second.
SECONDS = 4


class Table:
    """Tokens that are known, or not."""

    def __init__(self) -> None:
        self.issued: TokenTable | None = {}

    async def current(self) -> TokenTable:
        if self.issued is None:
            raise Unavailable("database_unavailable", "away")
        return self.issued


def credential(name: str) -> Credential:
    return Credential(name.encode().hex().ljust(64, "0"), Principal(name, Role.VIEWER, "token"))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


class TestFile:
    """On one machine."""

    @pytest.fixture
    def table(self) -> Table:
        return Table()

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "run" / "tokens.json"

    def kept(self, path: Path, table: Any, during: Callable[[ServingTokens], Awaitable[None]]) -> None:
        async def act() -> None:
            kept = ServingTokens(DocumentFile(path), table, {"admin": credential("admin")}, "own")
            task = asyncio.create_task(kept.run())
            try:
                await during(kept)
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

        asyncio.run(act())

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.unlink(),
            lambda path: shutil.rmtree(path.parent),
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(path.read_bytes()[:-3]),
            lambda path: path.write_text(json.dumps({"tokens": []})),
            lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
            pipe,
        ],
        ids=["deleted", "its folder too", "emptied", "cut", "replaced", "a link", "a pipe"],
    )
    def test_is_written_again_within_seconds_though_no_token_changed(
        self, path: Path, table: Table, damage: Callable[[Path], object]
    ) -> None:
        async def during(_kept: ServingTokens) -> None:
            await wait(path.exists)
            good = path.read_bytes()
            damage(path)
            await wait(lambda: path.is_file() and not path.is_symlink() and path.read_bytes() == good)
            assert path.stat().st_mode & 0o077 == 0

        self.kept(path, table, during)

    def test_is_not_written_while_nothing_is_wrong(self, path: Path, table: Table) -> None:
        async def during(_kept: ServingTokens) -> None:
            await wait(path.exists)
            before = path.stat().st_mtime_ns
            await asyncio.sleep(3 * INTERVAL_SECONDS)
            assert path.stat().st_mtime_ns == before

        self.kept(path, table, during)

    def test_that_is_impossible_is_said_until_it_is_possible(self, path: Path, table: Table) -> None:
        async def during(kept: ServingTokens) -> None:
            await wait(path.exists)
            path.unlink()
            path.mkdir()
            await wait(lambda: kept.problem)
            path.rmdir()
            await wait(path.is_file)
            await wait(lambda: not kept.problem)

        self.kept(path, table, during)

    def test_of_before_stays_while_nobody_knows_the_tokens_and_what_is_known_stands_in_for_nothing(
        self, path: Path, table: Table
    ) -> None:
        table.issued = None
        path.parent.mkdir()
        path.write_text("of before")

        async def during(_kept: ServingTokens) -> None:
            await asyncio.sleep(2 * INTERVAL_SECONDS)
            assert path.read_text() == "of before"
            path.unlink()
            await wait(path.exists)
            assert len(json.loads(path.read_bytes())["tokens"]) == 2
            table.issued = {"more": credential("more")}
            await wait(lambda: len(json.loads(path.read_bytes())["tokens"]) == 3)

        self.kept(path, table, during)


class TestSecret:
    """On Kubernetes."""

    @pytest.fixture
    def kubernetes(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
        monkeypatch.setattr(document_secret.DocumentSecret, "look_seconds", 0.5)
        with FakeKubernetes() as kubernetes:
            yield kubernetes

    @contextmanager
    def api(
        self, postgres_url: str, kubernetes: FakeKubernetes, closed: Settings, folder: Path
    ) -> Iterator[httpx.Client]:
        with own_database(postgres_url) as engine:
            settings = settings_of(engine, kubernetes, closed, folder)
            with running(create_app(settings, QUICK)) as address, client_of(address, ADMIN) as admin:
                yield admin

    def test_is_made_again_for_helm_when_it_is_deleted_or_damaged(
        self, postgres_url: str, kubernetes: FakeKubernetes, closed_settings: Settings, tmp_path: Path
    ) -> None:
        with self.api(postgres_url, kubernetes, closed_settings, tmp_path) as admin:
            until(lambda: listed(kubernetes) == 3, "it is written", SECONDS)
            issue(admin, "annotator")
            until(lambda: listed(kubernetes) == 4, "it has the new token", SECONDS)
            kubernetes.remove(SECRET, NAME)
            until(lambda: listed(kubernetes) == 4, "it is there again", SECONDS)
            metadata = kubernetes.find(SECRET, NAME)["metadata"]
            assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
            assert metadata["annotations"]["meta.helm.sh/release-name"] == "marina"
            for text in ("", "%%%", "e30=", None):
                change(kubernetes, text)
                until(lambda: listed(kubernetes) == 4, f"it is mended after {text!r}", SECONDS)
            assert "warning" not in admin.get("/readyz").json()
            begun = len(kubernetes.written(SECRET))
            time.sleep(1.5)
            assert len(kubernetes.written(SECRET)) == begun, "what is right is left alone"

    def test_the_token_for_metrics_is_good_for_them_and_nothing_else(
        self, postgres_url: str, kubernetes: FakeKubernetes, closed_settings: Settings, tmp_path: Path
    ) -> None:
        with self.api(postgres_url, kubernetes, closed_settings, tmp_path) as admin:
            until(lambda: listed(kubernetes) == 3, "it is written", SECONDS)
            (scraper,) = [one for one in entries(kubernetes) if one["path"]]
            assert (scraper["path"], scraper["role"]) == ("/metrics", "viewer")
            assert scraper["sha256"] == digest(METRICS)
            with client_of(str(admin.base_url), METRICS) as client:
                assert "marina_" in client.get("/metrics").raise_for_status().text
                for access in ACCESS:
                    if access.role is None or access.path == "/metrics":
                        continue
                    path = re.sub(r"\{\w+\}", "1", access.path)
                    response = client.request(access.method, path)
                    assert response.status_code == 403, path
                    assert access.method == "HEAD" or "/metrics and nothing else" in response.text
                for path in ("/v1/me?/metrics", "/v2/models/digits", "//metrics", "/metrics/more"):
                    assert client.get(path).status_code == 403, path

    @pytest.mark.parametrize("method", ["CREATE", "PATCH", "GET"])
    def test_that_the_api_may_not_write_it_is_a_warning_for_the_operator(
        self,
        postgres_url: str,
        kubernetes: FakeKubernetes,
        closed_settings: Settings,
        tmp_path: Path,
        method: str,
    ) -> None:
        said = 'secrets "marina-serving-tokens" is forbidden'
        kubernetes.reject = rejecting(status=403, message=said, method=method, plural=SECRET)
        with self.api(postgres_url, kubernetes, closed_settings, tmp_path) as admin:
            until(lambda: "warning" in admin.get("/readyz").json(), "it says so", SECONDS)
            response = admin.get("/readyz")
            assert (response.status_code, response.json()["status"]) == (200, "ok")
            assert "log" in response.json()["warning"]
            assert NAME not in response.text
            kubernetes.reject = rejecting()
            until(lambda: listed(kubernetes) == 3, "it is written", SECONDS)
            until(lambda: "warning" not in admin.get("/readyz").json(), "all is well", SECONDS)


def settings_of(engine: Engine, kubernetes: FakeKubernetes, closed: Settings, folder: Path) -> Settings:
    (folder / "metrics-token").write_text(METRICS + "\n")
    auth = closed.auth.model_copy(
        update={"serving_tokens_file": None, "metrics_token_file": folder / "metrics-token"}
    )
    config = {**CONFIG, "tokens_secret": NAME}
    assert (folder_of(closed) / "token").read_text().strip() == ADMIN
    return kserve_settings(engine, kubernetes, folder, config).model_copy(update={"auth": auth})


def listed(kubernetes: FakeKubernetes) -> int:
    """How many tokens the Secret has; -1 for none that a server could read."""
    if NAME not in kubernetes.names(SECRET):
        return -1
    try:
        return len(entries(kubernetes))
    except (KeyError, ValueError):
        return -1


def entries(kubernetes: FakeKubernetes) -> list[dict[str, Any]]:
    """The tokens of the Secret; raises KeyError and ValueError."""
    text = (kubernetes.find(SECRET, NAME).get("data") or {})["tokens.json"]
    return list(json.loads(base64.b64decode(text, validate=True))["tokens"])


def change(kubernetes: FakeKubernetes, text: str | None) -> None:
    """Write something else into the Secret, as another client would; None takes the key away."""
    item = kubernetes.find(SECRET, NAME)
    item["data"] = {} if text is None else {"tokens.json": text}
    kubernetes.put(SECRET, item)


async def wait(look: Callable[[], object]) -> None:
    """Until something is so, for some seconds."""
    async with asyncio.timeout(SECONDS):
        while not look():
            await asyncio.sleep(0.05)


def test_a_look_at_the_file_takes_no_more_memory_than_its_content(tmp_path: Path) -> None:
    path = tmp_path / "serving-tokens.json"
    path.write_bytes(b"x" * 1000)
    # Others that look at a file meanwhile would be counted too.
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        try:
            assert asyncio.run(DocumentFile(path).read()) == b"x" * 1000
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert min(peaks) < 4 * 1024**2
