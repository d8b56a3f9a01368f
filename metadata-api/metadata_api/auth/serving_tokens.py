"""What the servers of models check by themselves: a document of hashes."""

from collections.abc import Iterable
from typing import Any

import orjson

from metadata_api.auth.tokens import Credential, TokenTable, digest
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import Unavailable
from metadata_api.kept_document import KeptDocument, Place
from serving_runtime.contracts import Role


def document(credentials: Iterable[Credential], own_token: str) -> bytes:
    """`{"tokens": [{sha256, role, models, expires_at, path}]}`; `own_token` is what this API sends.

    One with a `path` is good for that address alone.
    """
    every: dict[str, Any] = {"models": None, "expires_at": None, "path": None}
    tokens: list[dict[str, Any]] = [{**every, "sha256": digest(own_token), "role": Role.ADMIN}]
    for one in credentials:
        caller = one.principal
        tokens.append(
            {
                **every,
                "sha256": one.sha256,
                "role": caller.role,
                "path": caller.path,
                "models": sorted(caller.deployments) if caller.deployments is not None else None,
                "expires_at": caller.expires_at.timestamp() if caller.expires_at else None,
            }
        )
    tokens.sort(key=lambda token: str(token["sha256"]))
    return orjson.dumps({"tokens": tokens}, option=orjson.OPT_INDENT_2)


class ServingTokens(KeptDocument):
    """Keeps the tokens in their place. Where there are none, those are written that are known without the database."""

    what = "the tokens"

    def __init__(self, place: Place, table: LiveTable[TokenTable], fixed: TokenTable, own_token: str) -> None:
        super().__init__(place)
        self._table = table
        self._fixed = fixed
        self._own_token = own_token

    async def wanted(self) -> bytes | None:
        """The document; None while nobody knows which tokens there are."""
        try:
            issued = await self._table.current()
        except Unavailable:
            return None
        return document([*self._fixed.values(), *issued.values()], self._own_token)

    def first(self) -> bytes:
        """The tokens that work without a database."""
        return document(self._fixed.values(), self._own_token)
