"""Tells the servers of models which part of their traffic they record, and where they send it.

A document beside the models file, or in a Secret: a server reads it again when it changes, and starts nothing anew.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from metadata_api import recording_keys
from metadata_api.database.live_table import LiveTable
from metadata_api.errors import Unavailable
from metadata_api.kept_document import KeptDocument, Place
from metadata_api.v2_proxy.route_table import Deployed, RouteTable


class ServingRecordings(KeptDocument):
    """Keeps the recordings in their place. `url` is this API as the servers reach it, `secret` its serving token."""

    what = "the recordings"

    def __init__(
        self, place: Place, table: LiveTable[RouteTable], *, url: str, secret: str, namespace: str
    ) -> None:
        super().__init__(place)
        self._table = table
        self._url = url
        self._secret = secret
        self._namespace = namespace

    async def wanted(self) -> bytes | None:
        """The document; None while nobody knows what is recorded."""
        try:
            table = await self._table.current()
        except Unavailable:
            return None
        return document(table.deployments.values(), self._url, self._secret, self._namespace)


def document(deployed: Iterable[Deployed], url: str, secret: str, namespace: str) -> bytes:
    """`{"namespace", "models": {NAME: {rate, answers, url}}}` of the running deployments that record something."""
    models: dict[str, Any] = {
        one.name: {
            "rate": one.recording.rate,
            "answers": one.recording.answers,
            "url": address(url, secret, one.name),
        }
        for one in deployed
        if one.running and one.recording.rate
    }
    found = {"namespace": namespace, "models": models}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def address(url: str, secret: str, deployment: str) -> str:
    """Where the events of a deployment go; whoever knows it may send some, and do nothing else."""
    return f"{url}/v1/recordings/{deployment}/{recording_keys.key_of(secret, deployment)}"
