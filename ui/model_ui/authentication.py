"""Who a visitor is: the API is asked, and its answer is kept for some seconds; used by `login.Login` and the pages.

The UI has no credential of its own and decides nothing that the API does not decide again: what it keeps only spares
the API a question for each request.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar

from model_ui.api_errors import ApiError, ApiRejected
from model_ui.api_types import Me
from model_ui.metadata_client import MetadataClient
from model_ui.shared_reads import Scope

FRESH_SECONDS = 5.0
# So long the last answer holds while the API does not answer, so that a short outage logs nobody out.
OUTAGE_SECONDS = 60.0
KEPT = 1024
# Credentials that the API has not accepted yet are asked about so many at a time; others never wait behind them.
AT_ONCE, MOST_WAITING = 8, 200
# The key under which gr.Request finds the visitor in the ASGI scope of its request.
SCOPE_KEY = "marina.visitor"

V = TypeVar("V")


class Unauthenticated(Exception):
    """The API does not accept this credential, or none; the text is its reason."""


class Unverified(Exception):
    """The API does not answer, so nobody knows; the text says why."""


@dataclass(frozen=True)
class Visitor:
    """Who asks, and the token that the API gets; None where it wants none."""

    me: Me
    token: str | None = field(default=None, repr=False)
    from_cookie: bool = False

    def client(
        self, client: MetadataClient, *, seconds: float = 0.0, idle_seconds: float = 0.0
    ) -> MetadataClient:
        """One that acts as the visitor; what others of the same role have read so lately is not asked again."""
        scope = Scope(self.me.role, self.me.deployments)
        return client.as_visitor(self.token, scope=scope, seconds=seconds, idle_seconds=idle_seconds)


NOBODY = Visitor(Me(subject="", role="viewer", kind="none"))


def visitor_of(request: Any) -> Visitor:
    """The visitor whose event a callback handles, from its gr.Request."""
    return visitor_in(request.request.scope)


def visitor_in(scope: Mapping[str, Any]) -> Visitor:
    """The visitor of an ASGI request. Without `login.Login` before, there is nobody, who may look and has no token."""
    found = scope.get(SCOPE_KEY, NOBODY)
    return found if isinstance(found, Visitor) else NOBODY


class Authenticator:
    """Asks the API who somebody is, at most once in FRESH_SECONDS for each credential; tokens are kept as sha256.

    Where the API says what visitors of a kind are verified by, one of them asks for all as long as that is the same.
    """

    def __init__(self, client: MetadataClient, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        # Two, so that a flood of wrong ones does not push out who is known.
        self._accepted: _Bounded[_Accepted] = _Bounded(KEPT)
        self._rejected: _Bounded[tuple[float, str]] = _Bounded(KEPT)
        self._asking: dict[bytes, asyncio.Task[Me | Exception]] = {}
        # What visitors of a kind are verified by, and when the API was asked: who was verified by the same still is.
        self._verified_by: dict[str, tuple[str | None, float]] = {}
        self._strangers = asyncio.Semaphore(AT_ONCE)

    async def identify(self, token: str | None) -> Me:
        """Who presents this token, or none. Raises Unauthenticated and Unverified."""
        key = sha256((token or "").encode()).digest()
        now = self._clock()
        accepted = self._accepted.get(key)
        if accepted and not _expired(accepted.me):
            if now - accepted.tried < FRESH_SECONDS:
                return accepted.me
            if now - (at := self._last_verified(accepted.me)) < FRESH_SECONDS:
                self._accepted.put(key, replace(accepted, answered=at, tried=at))
                return accepted.me
        rejected = self._rejected.get(key)
        if rejected and now - rejected[0] < FRESH_SECONDS:
            raise Unauthenticated(rejected[1])
        asking = self._asking.get(key)
        if asking is None:
            if len(self._asking) >= MOST_WAITING and accepted is None:
                raise Unverified("Too many logins at once. Try again in a moment.")
            asking = self._asking[key] = asyncio.create_task(self._ask(key, token))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # Others may wait for the same answer: whoever leaves does not end the question.
        outcome = await asyncio.shield(asking)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _ask(self, key: bytes, token: str | None) -> Me | Exception:
        """The answer, or what `identify` shall raise; unlike an exception, nobody has to be there to take it."""
        accepted, begin = self._accepted.get(key), self._clock()
        try:
            if accepted or token is None:
                me = await self._client.as_visitor(token).me()
            else:
                async with self._strangers:
                    me = await self._client.as_visitor(token).me()
        except ApiRejected as error:
            if error.status not in (401, 403):
                return Unverified(error.detail)
            self._accepted.pop(key)
            self._rejected.put(key, (self._clock(), error.detail))
            return Unauthenticated(error.detail)
        except ApiError as error:
            return self._outage(key, accepted, error.detail)
        self._accepted.put(key, _Accepted(me, self._clock(), self._clock()))
        if begin >= self._verified_by.get(me.kind, (None, begin))[1]:
            self._verified_by[me.kind] = me.verified_by, begin
        return me

    def _last_verified(self, me: Me) -> float:
        """When the API last told anybody what this visitor was verified by; long ago for something else."""
        verified_by, at = self._verified_by.get(me.kind, (None, 0.0))
        return at if me.verified_by is not None and verified_by == me.verified_by else float("-inf")

    def _outage(self, key: bytes, accepted: "_Accepted | None", detail: str) -> Me | Exception:
        now = self._clock()
        if accepted is None or now - accepted.answered >= OUTAGE_SECONDS:
            self._accepted.pop(key)
            return Unverified(detail)
        if _expired(accepted.me):
            return Unauthenticated("The token has expired.")
        self._accepted.put(key, replace(accepted, tried=now))
        return accepted.me


@dataclass(frozen=True)
class _Accepted:
    me: Me
    answered: float
    tried: float


class _Bounded(Generic[V]):
    """A dictionary that forgets what was not used for longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[bytes, V] = OrderedDict()

    def get(self, key: bytes) -> V | None:
        if key in self._found:
            self._found.move_to_end(key)
        return self._found.get(key)

    def put(self, key: bytes, value: V) -> None:
        self._found[key] = value
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def pop(self, key: bytes) -> None:
        self._found.pop(key, None)


def _expired(me: Me) -> bool:
    return me.expires_at is not None and me.expires_at <= datetime.now(UTC)
