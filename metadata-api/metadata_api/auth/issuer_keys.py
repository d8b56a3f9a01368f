"""The public keys of an OIDC provider: asked for seldom, bounded, and kept while the provider is away.

PyJWT's own client of key sets follows redirects, takes any scheme, and asks for every unknown key: this one does not.
"""

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from metadata_api.errors import Unauthenticated, Unavailable
from metadata_api.web_address import is_allowed

ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""The one algorithm that each type of key is used with; there are no others."""
DISCOVERY = "/.well-known/openid-configuration"
MAX_BYTES = 64 * 1024
FETCH_SECONDS = 10.0
KEPT_SECONDS = 600.0
# A token with an unknown key costs its sender nothing: so often at most it makes us ask again.
UNKNOWN_SECONDS = 30.0
RETRY_SECONDS = 5.0
# Requests wait for a fetch until it is so old, and then go on with the keys that are known.
RENEWAL_SECONDS = 1.0
# Whoever can keep the provider from us cannot keep a key alive for longer that it has withdrawn.
LAST_RESORT_SECONDS = 24 * 3600.0
RSA_BITS = range(2048, 8193)


class Published(NamedTuple):
    """A key of the issuer; one without an id is found only where it is the only one for its algorithm."""

    kid: str | None
    algorithm: str
    key: jwt.PyJWK


log = logging.getLogger(__name__)


class IssuerKeys:
    """The keys of one issuer, fetched when they are needed.

    Args:
        ca_file: certificates to check the provider's against; without it the public ones.
        http: whether plain HTTP is allowed elsewhere than on loopback.
        fetch_seconds: deadline of one fetch, both documents together.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        issuer: str,
        *,
        ca_file: Path | None = None,
        http: bool = False,
        fetch_seconds: float = FETCH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._http = http
        self._verify = (
            ssl.create_default_context(cafile=str(ca_file)) if ca_file else httpx.create_ssl_context()
        )
        self._fetch_seconds = fetch_seconds
        self._clock = clock
        self._keys: Sequence[Published] = ()
        self._fetched = self._asked = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK:
        """One key; without an id the only one for the algorithm.

        Raises Unauthenticated when the issuer has no such key, Unavailable when it cannot be asked.
        """
        if self._known(kid, algorithm) is None:
            await self._renew(self._fetch_seconds + RENEWAL_SECONDS)
        elif self._age() >= KEPT_SECONDS:
            await self._renew(RENEWAL_SECONDS)
        if (found := self._known(kid, algorithm)) is not None:
            return found
        if self._asked > self._fetched:
            raise Unavailable(
                "unavailable", f"The identity provider {self._issuer} does not answer. Try again in a moment."
            )
        raise Unauthenticated(
            "unauthenticated", f"{self._issuer} has {_missing(kid, algorithm)}. Log in again."
        )

    def digest(self) -> str:
        """Of the keys that `find` finds without asking; empty when it would find none."""
        if self._age() >= LAST_RESORT_SECONDS:
            return ""
        found = hashlib.sha256()
        for one in self._keys:
            found.update(f"{one.kid!r} {one.algorithm} ".encode())
            found.update(
                one.key.key.public_bytes(
                    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
                )
            )
        return found.hexdigest()

    def _known(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if self._age() >= LAST_RESORT_SECONDS:
            return None
        fitting = [one for one in self._keys if one.algorithm == algorithm and kid in (None, one.kid)]
        if not fitting or (kid is None and len(fitting) > 1):
            return None
        return fitting[0].key

    def _age(self) -> float:
        return self._clock() - self._fetched

    async def _renew(self, seconds: float) -> None:
        """Fetch the keys unless that was tried just now; one fetch at a time, waited for until it is so old."""
        pause = UNKNOWN_SECONDS if self._keys else RETRY_SECONDS
        if self._fetching is None and self._clock() - self._asked >= pause:
            self._asked = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        if self._fetching is not None:
            left = self._asked + seconds - self._clock()
            await asyncio.wait((self._fetching,), timeout=max(left, 0))

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._fetch_seconds):
                found = await self._read()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as error:
            said = str(error) or type(error).__name__
            log.warning("the keys of %s cannot be read: %s", self._issuer, said)
        else:
            self._keys, self._fetched = found, self._asked
        finally:
            self._fetching = None

    async def _read(self) -> Sequence[Published]:
        async with httpx.AsyncClient(
            verify=self._verify, trust_env=False, timeout=self._fetch_seconds
        ) as client:
            discovery = await self._document(client, self._issuer.removesuffix("/") + DISCOVERY)
            if discovery.get("issuer") != self._issuer:
                raise ValueError(f"the provider calls itself {str(discovery.get('issuer'))[:200]!r}")
            found = tuple(_usable(await self._document(client, discovery.get("jwks_uri"))))
        if not found:
            raise ValueError(f"its key set has no key for {' or '.join(ALGORITHMS.values())}")
        return found

    async def _document(self, client: httpx.AsyncClient, url: object) -> dict[str, Any]:
        if not isinstance(url, str) or not is_allowed(url.partition("?")[0], http=self._http):
            raise ValueError(f"{str(url)[:200]!r} is no https address")
        # Not compressed: what is counted is what there is.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with client.stream("GET", url, headers=headers, follow_redirects=False) as response:
            if response.status_code != 200:
                raise ValueError(f"{url} answers {response.status_code}")
            content = b""
            async for part in response.aiter_raw():
                content += part
                if len(content) > MAX_BYTES:
                    raise ValueError(f"{url} has more than {MAX_BYTES} bytes")
        found = orjson.loads(content)
        if not isinstance(found, dict):
            raise ValueError(f"{url} is no JSON object")
        return found


def _missing(kid: str | None, algorithm: str) -> str:
    if kid is None:
        return f"no key, or more than one, for {algorithm}, and the token does not say which (kid)"
    return f"no key {kid[:100]!r} for {algorithm}"


def _usable(document: dict[str, Any]) -> Iterator[Published]:
    """Public keys for signatures; all others are passed over."""
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        kid, algorithm = entry.get("kid"), ALGORITHMS.get(str(entry.get("kty")))
        operations = entry.get("key_ops", ["verify"])
        if (
            algorithm is None
            or not isinstance(kid, str | None)
            or "d" in entry
            or entry.get("use", "sig") != "sig"
            or entry.get("alg", algorithm) != algorithm
            or not (isinstance(operations, list) and "verify" in operations)
        ):
            continue
        try:
            key = jwt.PyJWK({**entry, "alg": algorithm}, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if _strong(key.key):
            yield Published(kid, algorithm, key)


def _strong(key: object) -> bool:
    if isinstance(key, RSAPublicKey):
        return key.key_size in RSA_BITS
    return isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
