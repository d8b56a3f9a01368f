"""Tokens of Kubernetes service accounts: reviewed by the Kubernetes API, which may be away."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import httpx
import jwt
import pytest
from pydantic import ValidationError
from sqlalchemy import Engine

from metadata_api.app import create_app
from metadata_api.auth import service_accounts
from metadata_api.auth.principal import Principal
from metadata_api.auth.service_accounts import (
    AT_ONCE,
    MAX_KEPT,
    NEW_A_SECOND,
    NEW_AT_ONCE,
    NEW_BURST,
    ServiceAccounts,
)
from metadata_api.errors import Forbidden, Unauthenticated, Unavailable
from metadata_api.kubernetes import Cluster
from metadata_api.settings import Settings
from serving_runtime.contracts import Role
from tests.databases import own_database
from tests.metadata_api.auth.conftest import client_of
from tests.metadata_api.deploying.kserve.fake_kubernetes import FakeKubernetes, rejecting
from tests.metadata_api.deploying.kserve.stage import CONFIG, kserve_settings
from tests.metadata_api.deploying.rounds import QUICK
from tests.metadata_api.servers import running
from tests.waiting import until

T = TypeVar("T")
ROLES = {"ml/trainer": Role.PUBLISHER, "ml/viewer": Role.VIEWER}


@pytest.fixture
def kubernetes() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as kubernetes:
        yield kubernetes


class Asking:
    """A verifier whose clock the test moves; each `of` is one request."""

    def __init__(self, kubernetes: FakeKubernetes) -> None:
        self.now = 1000.0
        self._kubernetes = kubernetes
        self._verifier: ServiceAccounts | None = None

    def of(self, *tokens: str, at_once: bool = False) -> list[Principal | None]:
        async def ask(verifier: ServiceAccounts, token: str) -> Principal | None:
            return await verifier.principal(token)

        return self.each(ask, tokens, at_once=at_once)

    def each(
        self,
        ask_one: Callable[[ServiceAccounts, str], Awaitable[T]],
        tokens: Sequence[str],
        *,
        at_once: bool = True,
    ) -> list[T]:
        async def ask() -> list[T]:
            cluster = Cluster(self._kubernetes.url, "marina")
            if self._verifier is None:
                self._verifier = ServiceAccounts(cluster, ROLES, "marina", clock=lambda: self.now)
            # Connections belong to one event loop.
            self._verifier._cluster, self._verifier._turns = cluster, asyncio.Semaphore(AT_ONCE)
            self._verifier._turns_of_new = asyncio.Semaphore(NEW_AT_ONCE)
            try:
                if at_once:
                    return await asyncio.gather(*(ask_one(self._verifier, token) for token in tokens))
                return [await ask_one(self._verifier, token) for token in tokens]
            finally:
                await cluster.close()

        return asyncio.run(ask())


@pytest.fixture
def asking(kubernetes: FakeKubernetes) -> Asking:
    return Asking(kubernetes)


def test_a_good_token_says_which_account_and_what_it_may_do(
    kubernetes: FakeKubernetes, asking: Asking
) -> None:
    token = kubernetes.tokens.issue("ml/trainer")
    (found,) = asking.of(token)
    assert found
    assert (found.subject, found.role, found.kind) == (
        "system:serviceaccount:ml:trainer",
        Role.PUBLISHER,
        "service_account",
    )
    assert found.expires_at
    assert found.expires_at.timestamp() == jwt.decode(token, options={"verify_signature": False})["exp"]
    assert kubernetes.tokens.asked == [
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["marina"]},
        }
    ]


def test_wrong_tokens_are_rejected(kubernetes: FakeKubernetes, asking: Asking) -> None:
    unknown, no_audiences = kubernetes.tokens.issue("ml/trainer"), kubernetes.tokens.issue("ml/trainer")
    kubernetes.tokens.revoke(unknown)
    with pytest.raises(Unauthenticated, match=r"not valid.*--audience=marina"):
        asking.of(unknown)
    with pytest.raises(Unauthenticated, match="another audience"):
        asking.of(kubernetes.tokens.issue("ml/trainer", "https://kubernetes.default.svc.cluster.local"))
    other = kubernetes.tokens.issue("ml/trainer")
    kubernetes.tokens.issued[other]["audiences"] = ["another"]
    with pytest.raises(Unauthenticated, match="not valid"):
        asking.of(other)
    kubernetes.tokens.knows_audiences = False
    with pytest.raises(Unauthenticated, match="another audience"):
        asking.of(no_audiences)


def test_an_account_without_a_role_has_no_access(kubernetes: FakeKubernetes, asking: Asking) -> None:
    for account in ("ml/other", "other/trainer"):
        with pytest.raises(Forbidden, match=f"service account {account} has no role"):
            asking.of(kubernetes.tokens.issue(account))


def test_the_user_is_whom_kubernetes_names_and_not_whom_the_token_does(
    kubernetes: FakeKubernetes, asking: Asking
) -> None:
    token, person = kubernetes.tokens.issue("ml/trainer"), kubernetes.tokens.issue("ml/trainer")
    kubernetes.tokens.issued[token]["user"]["username"] = "system:serviceaccount:ml:viewer"
    (found,) = asking.of(token)
    assert found
    assert found.role is Role.VIEWER
    kubernetes.tokens.issued[person]["user"]["username"] = "ann"
    with pytest.raises(Unauthenticated, match="none of a service account"):
        asking.of(person)


def test_what_is_no_token_of_a_service_account_is_shown_to_nobody(
    kubernetes: FakeKubernetes, asking: Asking
) -> None:
    secret = "s" * 40
    person = jwt.encode({"sub": "ann", "aud": ["marina"]}, secret)
    nameless = jwt.encode({"sub": "system:serviceaccount:ml", "aud": ["marina"]}, secret)
    assert asking.of("opaque", "a.b.c", person, nameless) == [None] * 4
    for audience in ("marina", ["another"], None):
        foreign = jwt.encode({"sub": "system:serviceaccount:ml:trainer", "aud": audience}, secret)
        with pytest.raises(Unauthenticated, match="another audience"):
            asking.of(foreign)
    assert kubernetes.tokens.asked == []


class TestKept:
    """A review holds for five seconds."""

    def test_a_token_is_reviewed_once_in_five_seconds_and_is_gone_after_them(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        token = kubernetes.tokens.issue("ml/trainer")
        asking.of(*[token] * 10)
        kubernetes.tokens.revoke(token)
        asking.now += 4.9
        asking.of(token)
        assert len(kubernetes.tokens.asked) == 1
        asking.now += 0.1
        for _ in range(10):
            with pytest.raises(Unauthenticated):
                asking.of(token)
        assert len(kubernetes.tokens.asked) == 2

    def test_many_requests_with_one_token_are_few_reviews(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        token = kubernetes.tokens.issue("ml/trainer")
        assert all(asking.of(*[token] * 50, at_once=True))
        assert len(kubernetes.tokens.asked) <= AT_ONCE

    def test_a_flood_of_wrong_tokens_forgets_nobody_and_fills_no_memory(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        asking.of(kubernetes.tokens.issue("ml/trainer"))
        verifier = asking._verifier
        assert verifier
        for number in range(3 * MAX_KEPT):
            verifier._rejected.put(str(number), Unauthenticated("unauthenticated", ""), asking.now + 5)
        assert len(verifier._rejected._values) == MAX_KEPT
        assert len(verifier._accepted._values) == 1


class TestFlood:
    """Whoever forges tokens makes the Kubernetes API review few of them, and keeps nobody else out."""

    def test_a_thousand_forged_tokens_are_as_many_reviews_as_may_be_in_the_time(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        assert [count(asking, forged(250)) for _ in range(4)] == [NEW_BURST, 0, 0, 0]
        asking.now += 2
        assert count(asking, forged(250)) == 2 * NEW_A_SECOND
        asking.now += 3600
        assert count(asking, forged(250)) == NEW_BURST
        assert len(kubernetes.tokens.asked) == 2 * NEW_BURST + 2 * NEW_A_SECOND

    def test_the_same_forged_token_again_costs_nothing(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        (token,) = forged(1)
        assert count(asking, [token] * 200) == 200
        assert len(kubernetes.tokens.asked) <= NEW_AT_ONCE

    def test_tokens_that_were_good_are_reviewed_during_it_as_always(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        good = [kubernetes.tokens.issue("ml/trainer") for _ in range(5)]
        asking.of(*good)
        count(asking, forged(100))
        asking.now += 5.1
        revoked = good.pop()
        kubernetes.tokens.revoke(revoked)
        count(asking, forged(200))
        assert len(asking.of(*good)) == 4
        with pytest.raises(Unauthenticated):
            asking.of(revoked)
        asking.now += 5.1
        count(asking, forged(200))
        with pytest.raises(Unavailable):
            asking.of(revoked)

    def test_a_new_good_token_gets_in_when_it_is_sent_again(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        count(asking, forged(100))
        token = kubernetes.tokens.issue("ml/trainer")
        with pytest.raises(Unavailable, match="Try again"):
            asking.of(token)
        asking.now += 1 / NEW_A_SECOND
        assert asking.of(token)[0]

    def test_a_token_that_has_expired_is_shown_to_nobody(
        self, kubernetes: FakeKubernetes, asking: Asking
    ) -> None:
        for seconds in (-61, -(10**6)):
            with pytest.raises(Unauthenticated, match="has expired"):
                asking.of(kubernetes.tokens.issue("ml/trainer", seconds=seconds))
        assert kubernetes.tokens.asked == []


def forged(number: int) -> list[str]:
    """Tokens that Kubernetes has never issued, all different, for an account that has a role."""
    claims = {"sub": "system:serviceaccount:ml:trainer", "aud": ["marina"]}
    return [jwt.encode({**claims, "jti": secrets.token_hex(8)}, "s" * 40) for _ in range(number)]


def count(asking: Asking, tokens: list[str]) -> int:
    """How many of them were called wrong; all others were told to come again."""

    async def ask(verifier: ServiceAccounts, token: str) -> bool:
        try:
            await verifier.principal(token)
        except Unauthenticated:
            return True
        except Unavailable:
            return False
        raise AssertionError("a forged token was taken")

    return sum(asking.each(ask, tokens))


class TestAway:
    """No answer of Kubernetes is no reason to let anybody in, and none to call a token wrong."""

    @pytest.mark.parametrize(
        ("status", "reason"), [(503, "does not answer"), (429, "does not answer"), (403, "log")]
    )
    def test_a_review_that_cannot_be_had_is_a_503_and_not_kept(
        self, kubernetes: FakeKubernetes, asking: Asking, status: int, reason: str
    ) -> None:
        token = kubernetes.tokens.issue("ml/trainer")
        kubernetes.reject = rejecting(status=status, message="no", plural="tokenreviews")
        with pytest.raises(Unavailable, match=reason):
            asking.of(token)
        kubernetes.reject = rejecting()
        assert asking.of(token)[0]

    def test_a_kubernetes_that_is_gone_is_a_503(self, kubernetes: FakeKubernetes, asking: Asking) -> None:
        token = kubernetes.tokens.issue("ml/trainer")
        asking.of(token)
        kubernetes.stop()
        assert asking.of(token)[0], "what was reviewed just now holds"
        asking.now += 5
        with pytest.raises(Unavailable):
            asking.of(token)

    def test_one_that_hangs_is_given_up_after_the_deadline(
        self, kubernetes: FakeKubernetes, asking: Asking, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(service_accounts, "REVIEW_SECONDS", 0.3)
        kubernetes.reject = slow(2)
        begin = time.monotonic()
        tokens = [kubernetes.tokens.issue("ml/trainer") for _ in range(2 * AT_ONCE)]
        with pytest.raises(Unavailable):
            asking.of(*tokens, at_once=True)
        assert time.monotonic() - begin < 2


def slow(seconds: float) -> Callable[[str, str, str], None]:
    def wait(method: str, plural: str, name: str) -> None:
        time.sleep(seconds)

    return wait


class TestApplication:
    """The whole API on Kubernetes."""

    def test_takes_the_tokens_and_says_503_while_kubernetes_is_away(
        self, postgres_url: str, kubernetes: FakeKubernetes, closed_settings: Settings, tmp_path: Path
    ) -> None:
        with own_database(postgres_url) as engine:
            settings = on_kubernetes(engine, kubernetes, closed_settings, tmp_path)
            with running(create_app(settings, QUICK)) as address:
                trainer = client_of(address, kubernetes.tokens.issue("ml/trainer"))
                stranger = client_of(address, kubernetes.tokens.issue("ml/stranger"))
                with trainer, stranger:
                    me = trainer.get("/v1/me").json()
                    assert (me["subject"], me["role"]) == ("system:serviceaccount:ml:trainer", "publisher")
                    assert trainer.post("/v1/experiments", json={"name": "new"}).status_code == 201
                    assert trainer.get("/v1/audit").status_code == 403
                    assert stranger.get("/v1/me").status_code == 403
                    kubernetes.stop()
                    until(lambda: trainer.get("/v1/me").status_code == 503, "what was kept is over", 15)
                    response = trainer.get("/v1/me")
                    assert (response.json()["error"], response.headers["retry-after"]) == ("unavailable", "1")
                with httpx.Client(base_url=address) as nobody:
                    assert nobody.get("/v1/me", headers={"Authorization": "Bearer a.b.c"}).status_code == 401

    def test_takes_them_only_on_kubernetes(
        self, closed_settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("METADATA_API_AUTH_SERVICE_ACCOUNTS", "ml/trainer=publisher,ml/viewer=viewer")
        monkeypatch.setenv("METADATA_API_AUTH_MODE", "off")
        fields = closed_settings.model_dump(include={"database_url", "store_dir", "serving_models_file"})
        with pytest.raises(ValidationError, match="DEPLOYER=kserve"):
            Settings(**fields)
        settings = Settings(**fields, deployer="kserve", kserve_file=Path("kserve.yaml"))
        assert settings.auth.service_accounts == ROLES
        assert settings.auth.service_account_audience == "marina"


def on_kubernetes(engine: Engine, kubernetes: FakeKubernetes, closed: Settings, folder: Path) -> Settings:
    auth = closed.auth.model_copy(update={"service_accounts": ROLES, "serving_tokens_file": None})
    return kserve_settings(engine, kubernetes, folder, CONFIG).model_copy(update={"auth": auth})
