"""Who sent a request: `Callers` reads its Authorization header and asks whoever can verify such a credential."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from metadata_api.auth import compact_jwt, tokens
from metadata_api.auth.principal import ANONYMOUS, Principal
from metadata_api.auth.tokens import TokenTable
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import Unauthenticated

HOW = (
    "Send a token in the header `Authorization: Bearer TOKEN`. With curl, the header may come from "
    "the file that `make up` prints: curl -H @FILE"
)


class Verifier(Protocol):
    """Whoever can verify tokens that are not ours."""

    takes: str
    """Which tokens, in words."""

    async def principal(self, token: str) -> Principal | None:
        """Its owner; None for a token of another issuer.

        Raises Unauthenticated for a wrong one, Forbidden for an owner without a role, and Unavailable.
        """


class Callers:
    """Every credential that this API takes: its own tokens first, then those of the verifiers in their order.

    Args:
        fixed: tokens that are known without the database.
    """

    def __init__(
        self, table: LiveTable[TokenTable], fixed: TokenTable, verifiers: Sequence[Verifier] = ()
    ) -> None:
        self._table = table
        self._fixed = fixed
        self._verifiers = verifiers

    async def of(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """The caller by the headers of an ASGI scope; raises Unauthenticated, Forbidden and Unavailable."""
        token = _bearer([value for name, value in headers if name == b"authorization"])
        if token.startswith(tokens.PREFIX):
            is_fixed = tokens.identity(token) in self._fixed
            table = self._fixed if is_fixed else await self._table.current()
            return tokens.find(token, table, datetime.now(UTC))
        for verifier in self._verifiers:
            if (found := await verifier.principal(token)) is not None:
                return found
        known = ", ".join(("API tokens", *(verifier.takes for verifier in self._verifiers)))
        raise Unauthenticated(
            "unauthenticated", f"The credential is of no kind that is known here: {known}. {HOW}"
        )


class Everybody(Callers):
    """What stands in its place while authentication is off."""

    def __init__(self) -> None:
        pass

    async def of(self, _headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """The same caller for all."""
        return ANONYMOUS


def _bearer(values: list[bytes]) -> str:
    if not values:
        raise Unauthenticated("unauthenticated", f"This needs a credential. {HOW}")
    scheme, _, token = values[0].partition(b" ")
    if len(values) > 1 or scheme.lower() != b"bearer" or not token or len(token) > compact_jwt.MAX_BYTES:
        raise Unauthenticated("unauthenticated", f"The Authorization header cannot be read. {HOW}")
    if not token.isascii():
        raise Unauthenticated("unauthenticated", f"The Authorization header cannot be read. {HOW}")
    return token.decode()
