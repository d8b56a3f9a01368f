"""What the servers of models check by themselves: a document of hashes, and the file of it on one machine.

A server needs neither network nor database for it, so that a model answers while this API is away.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import orjson

from metadata_api.auth.tokens import Credential, TokenTable, digest
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import Unavailable
from metadata_api.storage.replacing import replace
from serving_runtime.contracts import Role

INTERVAL_SECONDS = 0.5
WRITE_SECONDS = 15.0
Write = Callable[[bytes], Awaitable[None]]

log = logging.getLogger(__name__)


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


async def keep(
    write: Write, table: LiveTable[TokenTable], fixed: TokenTable, own_token: str, *, first: bool
) -> None:
    """Write the document whenever the tokens change, until cancelled; what fails is tried again.

    While the database is away what was written before stays. With `first` there is nothing of before: then what is
    known without the database is written.
    """
    written: bytes | None = None
    problem = ""
    while True:
        try:
            issued: TokenTable | None = await table.current()
        except Unavailable:
            issued = {} if first and written is None else None
        if (
            issued is not None
            and (new := document([*fixed.values(), *issued.values()], own_token)) != written
        ):
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await write(new)
                written, problem = new, ""
            except Exception as error:
                # The edge of the task: whatever went wrong, the next time may do better.
                if str(error) != problem:
                    log.warning("the tokens for the servers of models are not written: %s", error)
                problem = str(error)
        await asyncio.sleep(INTERVAL_SECONDS)


async def write_file(path: Path, content: bytes) -> None:
    """Replace the file, closed to other users."""
    await asyncio.to_thread(replace, path, content)
