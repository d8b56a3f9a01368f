"""Who sent a request: `Callers` reads its Authorization header and asks whoever can verify such a credential."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from metadata_api.auth import compact_jwt, tokens
from metadata_api.auth.principal import ANONYMOUS, Kind, Principal
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

    @property
    def kind(self) -> Kind:
        """Of the callers that it verifies."""

    async def principal(self, token: str) -> Principal | None:
        """Its owner; None for a token of another issuer.

        Raises Unauthenticated for a wrong one, Forbidden for an owner without a role, and Unavailable.
        """

    def version(self) -> str | None:
        """What it verifies by, as a digest; None where that can be another thing at any time."""


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
        self._digested: tuple[TokenTable | None, str] = (None, "")

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

    async def verified(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[Principal, str | None]:
        """As `of`, with a digest of all that callers of this kind are verified by.

        As long as it is the same, everybody who was verified by it still is, until their credential expires.
        """
        found = await self.of(headers)
        # Nothing is awaited in between: this is what the caller was verified by.
        if found.kind == "token":
            return found, self._version_of_tokens()
        return found, next((one.version() for one in self._verifiers if one.kind == found.kind), None)

    def _version_of_tokens(self) -> str:
        table, digest = self._digested
        if not digest or table is not self._table.last:
            table = self._table.last
            digest = tokens.version(self._fixed, table or {})
            self._digested = table, digest
        return digest


class Everybody(Callers):
    """What stands in its place while authentication is off."""

    def __init__(self) -> None:
        pass

    async def of(self, _headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """The same caller for all."""
        return ANONYMOUS

    async def verified(self, _headers: Iterable[tuple[bytes, bytes]]) -> tuple[Principal, str | None]:
        """They are verified by nothing."""
        return ANONYMOUS, None


def _bearer(values: list[bytes]) -> str:
    if not values:
        raise Unauthenticated("unauthenticated", f"This needs a credential. {HOW}")
    scheme, _, token = values[0].partition(b" ")
    if len(values) > 1 or scheme.lower() != b"bearer" or not token or len(token) > compact_jwt.MAX_BYTES:
        raise Unauthenticated("unauthenticated", f"The Authorization header cannot be read. {HOW}")
    if not token.isascii():
        raise Unauthenticated("unauthenticated", f"The Authorization header cannot be read. {HOW}")
    return token.decode()
