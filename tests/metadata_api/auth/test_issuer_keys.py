"""The keys of an OIDC provider: asked for seldom, within bounds, and known while the provider is away."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from metadata_api.auth.issuer_keys import MAX_BYTES, IssuerKeys
from metadata_api.errors import Unauthenticated, Unavailable
from tests.metadata_api.auth.identity_provider import DISCOVERY, KEYS, IdentityProvider, Key, Reply, as_json

FIRST, SECOND = Key("first"), Key("second")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider(FIRST) as provider:
        yield provider


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(provider: IdentityProvider, clock: Clock) -> IssuerKeys:
    return IssuerKeys(provider.issuer, clock=clock)


def knows(keys: IssuerKeys, key: Key) -> bool:
    """Whether a key is found; raises Unavailable."""
    try:
        found = asyncio.run(keys.find(key.kid, key.algorithm))
    except Unauthenticated:
        return False
    assert found.key.public_numbers() == key.private.public_key().public_numbers()
    return True


def unavailable(keys: IssuerKeys) -> bool:
    try:
        knows(keys, FIRST)
    except Unavailable:
        return True
    return False


class TestBounds:
    """Whatever the provider answers, it costs little, leads nowhere else, and nothing of it is believed."""

    @pytest.mark.parametrize("path", [DISCOVERY, KEYS])
    def test_a_redirect_is_not_followed(
        self, provider: IdentityProvider, keys: IssuerKeys, path: str
    ) -> None:
        with IdentityProvider(FIRST) as elsewhere:
            provider.pages[path] = lambda: (302, {"Location": elsewhere.issuer + path}, b"")
            assert unavailable(keys)
            assert elsewhere.calls == []

    @pytest.mark.parametrize("path", [DISCOVERY, KEYS])
    def test_a_document_that_is_too_large_is_not_read(
        self, provider: IdentityProvider, keys: IssuerKeys, path: str
    ) -> None:
        status, headers, content = provider._answer(path)
        provider.pages[path] = lambda: (status, headers, content + b" " * MAX_BYTES)
        assert unavailable(keys)

    @pytest.mark.parametrize("path", [DISCOVERY, KEYS])
    def test_a_slow_provider_is_given_up_after_the_deadline(
        self, provider: IdentityProvider, path: str
    ) -> None:
        good = provider._answer(path)

        def slowly() -> Reply:
            time.sleep(3)
            return good

        provider.pages[path] = slowly
        begin = time.monotonic()
        assert unavailable(IssuerKeys(provider.issuer, fetch_seconds=0.3))
        assert time.monotonic() - begin < 2

    @pytest.mark.parametrize(
        "reply",
        [
            (404, {}, b""), (500, {}, b""), (200, {}, b""), (200, {}, b"<html>"), (200, {}, b"[]"),
            (200, {}, b"[" * 10000), (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
        ],
        ids=["404", "500", "empty", "a page", "a list", "deep", "compressed"],
    )  # fmt: skip
    @pytest.mark.parametrize("path", [DISCOVERY, KEYS])
    def test_what_cannot_be_read_is_no_answer(
        self, provider: IdentityProvider, keys: IssuerKeys, path: str, reply: Reply
    ) -> None:
        provider.pages[path] = lambda: reply
        assert unavailable(keys)

    @pytest.mark.parametrize(
        "changed",
        [
            {"issuer": "https://login.example.com"},
            {"issuer": None},
            {"jwks_uri": "http://login.example.com/keys"},
            {"jwks_uri": "file:///etc/passwd"},
            {"jwks_uri": "/keys"},
            {"jwks_uri": None},
            {"jwks_uri": ["http://127.0.0.1/keys"]},
        ],
        ids=str,
    )
    def test_a_discovery_document_of_another_or_to_another_place_is_not_believed(
        self, provider: IdentityProvider, keys: IssuerKeys, changed: dict[str, Any]
    ) -> None:
        good = json.loads(provider._answer(DISCOVERY)[2])
        provider.pages[DISCOVERY] = lambda: as_json({**good, **changed})
        assert unavailable(keys)
        assert KEYS not in provider.calls

    def test_only_public_keys_for_signatures_that_are_strong_count(
        self, provider: IdentityProvider, keys: IssuerKeys
    ) -> None:
        weak = Key("first", bits=1024)
        private = {**FIRST.public(), "d": "AQAB"}
        provider.pages[KEYS] = lambda: as_json(
            {
                "keys": [
                    None,
                    {},
                    weak.public(),
                    private,
                    {**FIRST.public(), "use": "enc"},
                    {**FIRST.public(), "alg": "PS256"},
                    {**FIRST.public(), "key_ops": ["encrypt"]},
                    {**FIRST.public(), "n": "!"},
                    {"kty": "oct", "kid": "first", "k": "c2VjcmV0", "alg": "HS256"},
                    SECOND.public(),
                ]
            }
        )
        assert knows(keys, SECOND)
        assert not knows(keys, FIRST)
        assert not knows(keys, Key("second", "ES256"))

    def test_a_token_that_names_no_key_is_checked_by_the_only_one_of_its_algorithm(
        self, provider: IdentityProvider, keys: IssuerKeys, clock: Clock
    ) -> None:
        def find() -> object:
            return asyncio.run(keys.find(None, "RS256")).key.public_numbers()

        plain = {name: value for name, value in FIRST.public().items() if name != "kid"}
        provider.pages[KEYS] = lambda: as_json({"keys": [plain, Key("other", "ES256").public()]})
        assert find() == FIRST.private.public_key().public_numbers()
        assert not knows(keys, FIRST), "one that has no name is not the one that was named"
        del provider.pages[KEYS]
        provider.keys = [FIRST, SECOND]
        clock.now += 600
        with pytest.raises(Unauthenticated, match="more than one"):
            find()

    def test_a_set_without_a_key_is_no_answer(self, provider: IdentityProvider, keys: IssuerKeys) -> None:
        provider.keys = []
        assert unavailable(keys)


class TestTime:
    """When the provider is asked, and what holds while it does not answer."""

    def test_it_is_asked_once_in_ten_minutes_however_many_ask(
        self, provider: IdentityProvider, keys: IssuerKeys, clock: Clock
    ) -> None:
        async def many() -> None:
            await asyncio.gather(*(keys.find("first", "RS256") for _ in range(50)))

        asyncio.run(many())
        clock.now += 599
        asyncio.run(many())
        assert provider.calls == [DISCOVERY, KEYS]
        clock.now += 1
        asyncio.run(many())
        assert provider.calls == [DISCOVERY, KEYS] * 2

    def test_a_new_key_is_found_and_an_unknown_one_asks_at_most_every_half_minute(
        self, provider: IdentityProvider, keys: IssuerKeys, clock: Clock
    ) -> None:
        assert knows(keys, FIRST)
        provider.keys = [FIRST, SECOND]
        for _ in range(20):
            assert not knows(keys, SECOND)
        assert len(provider.calls) == 2
        clock.now += 30
        assert knows(keys, SECOND)
        assert knows(keys, FIRST)
        assert len(provider.calls) == 4

    def test_a_key_that_was_withdrawn_is_gone_after_ten_minutes(
        self, provider: IdentityProvider, keys: IssuerKeys, clock: Clock
    ) -> None:
        assert knows(keys, FIRST)
        provider.keys, before = [SECOND], keys.digest()
        clock.now += 600
        assert not knows(keys, FIRST)
        assert knows(keys, SECOND)
        # So whoever was verified by it is asked for again.
        assert keys.digest() not in ("", before)
        provider.stop()
        clock.now += 24 * 3600
        assert keys.digest() == ""
        provider.start()

    def test_known_keys_stay_good_for_a_day_while_it_is_away_and_unknown_ones_have_to_wait(
        self, provider: IdentityProvider, keys: IssuerKeys, clock: Clock
    ) -> None:
        assert knows(keys, FIRST)
        provider.stop()
        clock.now += 23 * 3600
        assert knows(keys, FIRST)
        with pytest.raises(Unavailable, match="does not answer"):
            knows(keys, SECOND)
        clock.now += 3600
        assert unavailable(keys)
        provider.start()
        clock.now += 30
        assert knows(keys, FIRST)

    def test_while_it_hangs_known_keys_wait_for_a_second_once(
        self, provider: IdentityProvider, clock: Clock
    ) -> None:
        keys = IssuerKeys(provider.issuer, clock=clock)
        good = provider._answer(DISCOVERY)

        def slowly() -> Reply:
            time.sleep(3)
            return good

        async def twice() -> list[float]:
            await keys.find("first", "RS256")
            provider.pages[DISCOVERY] = slowly
            clock.now += 600
            waited = []
            for _ in range(2):
                begin = time.monotonic()
                await keys.find("first", "RS256")
                waited.append(time.monotonic() - begin)
                clock.now += 1
            return waited

        first, second = asyncio.run(twice())
        assert 0.9 < first < 2
        assert second < 0.5

    def test_a_provider_that_comes_late_is_asked_again_after_five_seconds(
        self, provider: IdentityProvider, keys: IssuerKeys, clock: Clock
    ) -> None:
        provider.stop()
        assert unavailable(keys)
        provider.start()
        assert unavailable(keys)
        clock.now += 5
        assert knows(keys, FIRST)


def test_https_is_checked_against_the_file_of_certificates(tmp_path: Path) -> None:
    certificate, private = make_certificate(tmp_path)
    with IdentityProvider(FIRST, tls=(certificate, private)) as provider:
        assert provider.issuer.startswith("https://")
        assert knows(IssuerKeys(provider.issuer, ca_file=certificate), FIRST)
        assert unavailable(IssuerKeys(provider.issuer))
        other = tmp_path / "other"
        other.mkdir()
        assert unavailable(IssuerKeys(provider.issuer, ca_file=make_certificate(other)[0]))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths
