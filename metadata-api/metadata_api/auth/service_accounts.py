"""Tokens of Kubernetes service accounts: the Kubernetes API says whose they are, and whether they are good still."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from metadata_api.auth import compact_jwt
from metadata_api.auth.principal import Principal
from metadata_api.auth.tokens import digest
from metadata_api.errors import Forbidden, MarinaError, Unauthenticated, Unavailable
from metadata_api.kubernetes import Cluster, ClusterAway, ClusterError
from metadata_api.schemas.tokens import SERVICE_ACCOUNT_PREFIX
from serving_runtime.contracts import Role

KEPT_SECONDS = 5.0
REVIEW_SECONDS = 5.0
# The deployer asks over the same connections, of which there are more.
AT_ONCE = 4
MAX_KEPT = 1024
# A token that nobody has seen yet costs its sender nothing: so many are reviewed in a second, after a burst.
NEW_A_SECOND = 5.0
NEW_BURST = 20
# Leaves turns to the tokens that are known to be good.
NEW_AT_ONCE = 2
# A token that was good keeps its place before unknown ones for so long after its last review.
REMEMBERED_SECONDS = 3600.0
LEEWAY_SECONDS = 60.0
_USER = re.compile(rf"{SERVICE_ACCOUNT_PREFIX}([a-z0-9-]+):([a-z0-9.-]+)")

T = TypeVar("T")
log = logging.getLogger(__name__)


class ServiceAccounts:
    """Verifies tokens by TokenReview.

    Args:
        roles: by service account, as NAMESPACE/NAME.
        audience: what the tokens must be made for; one for the Kubernetes API itself is rejected.
        clock: seconds that never go back.
    """

    kind: Final = "service_account"

    def __init__(
        self,
        cluster: Cluster,
        roles: Mapping[str, Role],
        audience: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._roles = roles
        self._audience = audience
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._turns_of_new = asyncio.Semaphore(NEW_AT_ONCE)
        self._new = _Allowance(NEW_A_SECOND, NEW_BURST, clock)
        # Apart, so that a flood of wrong tokens forgets nobody.
        self._accepted: _Kept[Principal] = _Kept()
        self._rejected: _Kept[MarinaError] = _Kept()
        self._were_good: _Kept[bool] = _Kept()
        self.takes = f"tokens of Kubernetes service accounts for the audience {audience}"

    async def principal(self, token: str) -> Principal | None:
        """Its owner; None for what is none of a service account.

        Raises Unauthenticated, Forbidden and Unavailable.
        """
        claimed = compact_jwt.read(token)
        if claimed is None or not _USER.fullmatch(str(claimed.claims.get("sub"))):
            return None
        audiences = claimed.claims.get("aud")
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise self._wrong("is for another audience")
        if (end := _end(claimed.claims)) is not None and end.timestamp() + LEEWAY_SECONDS < time.time():
            raise self._wrong("has expired")
        key = digest(token)
        if (found := self._known(key)) is not None:
            return found
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                if self._were_good.get(key, self._clock()):
                    return await self._reviewed(key, token, claimed.claims)
                async with self._turns_of_new:
                    return await self._reviewed(key, token, claimed.claims, new=True)
        except TimeoutError as error:
            raise _away() from error

    async def _reviewed(
        self, key: str, token: str, claims: dict[str, Any], *, new: bool = False
    ) -> Principal:
        async with self._turns:
            # Another request with this token may have asked meanwhile.
            if (found := self._known(key)) is not None:
                return found
            if new and not self._new.take():
                raise Unavailable(
                    "unavailable",
                    "There are too many new tokens of service accounts to check them all. Try again in a moment.",
                )
            return await self._review(key, token, claims)

    def version(self) -> None:
        """Whether a token is good, Kubernetes says of each by itself."""
        return

    def _known(self, key: str) -> Principal | None:
        """Whose the token was just now; raises what it was rejected with."""
        now = self._clock()
        if (error := self._rejected.get(key, now)) is not None:
            raise type(error)(error.code, error.detail)
        return self._accepted.get(key, now)

    async def _review(self, key: str, token: str, claims: dict[str, Any]) -> Principal:
        end = self._clock() + KEPT_SECONDS
        try:
            status = await self._cluster.review_token(token, self._audience)
        except ClusterAway as error:
            log.warning("no review of a service account's token: %s", error)
            raise _away() from error
        except ClusterError as error:
            log.error(
                "no review of a service account's token, is the API not system:auth-delegator? %s", error
            )
            raise Unavailable(
                "unavailable", "The Kubernetes API does not let this API check tokens; its log says why."
            ) from error
        try:
            found = self._caller(status, claims)
        except MarinaError as error:
            self._rejected.put(key, error, end)
            self._were_good.forget(key)
            raise
        self._accepted.put(key, found, end)
        self._were_good.put(key, True, end + REMEMBERED_SECONDS)
        return found

    def _caller(self, status: Mapping[str, Any], claims: dict[str, Any]) -> Principal:
        if status.get("authenticated") is not True:
            log.info("Kubernetes rejects a service account's token: %.300s", status.get("error"))
            raise self._wrong("is not valid")
        # A server that does not know audiences says nothing of them.
        if self._audience not in (status.get("audiences") or ()):
            raise self._wrong("is for another audience")
        user = _USER.fullmatch(str((status.get("user") or {}).get("username")))
        if user is None:
            raise self._wrong("is none of a service account")
        account = f"{user[1]}/{user[2]}"
        if account not in self._roles:
            raise Forbidden(
                "forbidden", f"The service account {account} has no role here. Ask an admin to give it one."
            )
        return Principal(user[0], self._roles[account], "service_account", expires_at=_end(claims))

    def _wrong(self, why: str) -> Unauthenticated:
        return Unauthenticated(
            "unauthenticated",
            f"The service account's token {why}. Get one by a projected volume, or by "
            f"`kubectl create token NAME --audience={self._audience}`.",
        )


class _Kept(Generic[T]):
    """The newest values, each until its time."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, T]] = {}

    def get(self, key: str, now: float) -> T | None:
        end, value = self._values.get(key, (now, None))
        return value if now < end else None

    def put(self, key: str, value: T, end: float) -> None:
        self._values.pop(key, None)
        if len(self._values) >= MAX_KEPT:
            del self._values[next(iter(self._values))]
        self._values[key] = (end, value)

    def forget(self, key: str) -> None:
        self._values.pop(key, None)


class _Allowance:
    """So many a second, and at most `burst` at once."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left = float(burst)
        self._counted = clock()

    def take(self) -> bool:
        """Whether there is one left; it is gone then."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._counted) * self._per_second)
        self._counted = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _away() -> Unavailable:
    return Unavailable("unavailable", "The Kubernetes API does not answer. Try again in a moment.")


def _end(claims: dict[str, Any]) -> datetime | None:
    """When the token ends, as it says itself; only for one that was found to be good."""
    try:
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
