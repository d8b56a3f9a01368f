"""What v2 says about the server as a whole, from the route table and the servers behind it."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from metadata_api.errors import Invalid, Unavailable
from metadata_api.http_pool import HttpPool, ResponseTooLarge
from metadata_api.memory import charge_soon
from metadata_api.v2_proxy.route_table import Deployed, RouteTable

STATS_SECONDS = 3.0
MAX_STATS_BYTES = 1024 * 1024
_COPIES = 10
_STATES = {"ready": "READY", "starting": "LOADING", "pending": "LOADING"}

Document = dict[str, Any]


def repository_index(table: RouteTable, *, only_ready: bool) -> list[Document]:
    """`POST /v2/repository/index`: the desired versions, and those that still answer in their place."""
    listed = []
    for one in table.deployments.values():
        if one.running:
            listed += _indexed(one)
    return [item for item in listed if item["state"] == "READY" or not only_ready]


async def statistics(table: RouteTable, pool: HttpPool, base_of: Callable[[str], str]) -> Document:
    """`GET /v2/models/stats`: those of every deployment whose server answers in time, by name."""

    async def ask(name: str) -> list[Document]:
        url = f"{base_of(name)}/v2/models/{name}/stats"
        try:
            async with asyncio.timeout(STATS_SECONDS):
                response = await pool.request("GET", url, headers={}, max_bytes=MAX_STATS_BYTES)
            await charge_soon(_COPIES * len(response.body))
            return list(orjson.loads(response.body)["model_stats"]) if response.status == 200 else []
        except (OSError, ResponseTooLarge, Unavailable, ValueError, KeyError, TypeError):
            return []

    names = [one.name for one in table.deployments.values() if one.running]
    return {"model_stats": [item for found in await asyncio.gather(*map(ask, names)) for item in found]}


def only_ready(body: bytes) -> bool:
    """The filter of a repository index: an empty body, `{}` or `{"ready": true}`; raises Invalid."""
    try:
        ready = orjson.loads(body).get("ready", False) if body else False
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise Invalid("invalid_request", "the body must be a JSON object") from error
    if type(ready) is not bool:
        raise Invalid("invalid_request", "`ready` must be true or false")
    return ready


def _indexed(one: Deployed) -> list[Document]:
    state = _STATES.get(one.state, "UNAVAILABLE")
    listed = [{"name": one.name, "version": str(one.version), "state": state, "reason": one.reason or ""}]
    if one.live is not None and one.live != one.version:
        listed.append({"name": one.name, "version": str(one.live), "state": "READY", "reason": ""})
    return listed
