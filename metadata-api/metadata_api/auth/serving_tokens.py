"""What the servers of models check by themselves: a document of hashes, and the file of it on one machine.

A server needs neither network nor database for it, so that a model answers while this API is away.
"""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from metadata_api.auth.tokens import Credential, TokenTable, digest
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import Unavailable
from metadata_api.roles import Role

INTERVAL_SECONDS = 0.5


def document(credentials: Iterable[Credential], own_token: str) -> bytes:
    """`{"tokens": [{sha256, role, models, expires_at}]}`; `own_token` is what this API sends."""
    tokens: list[dict[str, Any]] = [
        {"sha256": digest(own_token), "role": Role.ADMIN, "models": None, "expires_at": None}
    ]
    for one in credentials:
        caller = one.principal
        tokens.append(
            {
                "sha256": one.sha256,
                "role": caller.role,
                "models": sorted(caller.deployments) if caller.deployments is not None else None,
                "expires_at": caller.expires_at.timestamp() if caller.expires_at else None,
            }
        )
    tokens.sort(key=lambda token: str(token["sha256"]))
    return orjson.dumps({"tokens": tokens}, option=orjson.OPT_INDENT_2)


async def keep_file(path: Path, table: LiveTable[TokenTable], fixed: TokenTable, own_token: str) -> None:
    """Write the document whenever the tokens change, until cancelled.

    While the database is away the file of before stays; a first one holds what is known without it.
    """
    written: bytes | None = None
    while True:
        try:
            issued: TokenTable | None = await table.current()
        except Unavailable:
            issued = None if path.exists() else {}
        if issued is not None:
            new = document([*fixed.values(), *issued.values()], own_token)
            if new != written:
                await asyncio.to_thread(_replace, path, new)
                written = new
        await asyncio.sleep(INTERVAL_SECONDS)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    os.replace(new, path)
