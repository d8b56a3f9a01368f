"""What the pods of a deployment have logged, from the Kubernetes API; of a container that was restarted, both ends."""

import asyncio
from dataclasses import dataclass
from typing import Any

from metadata_api.deploying.kserve.pods import MODEL, SERVICE
from metadata_api.deploying.logs import MAX_BYTES, LogPart, last_lines
from metadata_api.kubernetes import POD, Cluster, ClusterRejected

PODS = 3
"""The newest of a deployment."""


@dataclass(frozen=True, slots=True)
class _Pod:
    name: str
    created: str
    restarts: int


async def read(cluster: Cluster, selector: str, deployment: str, lines: int) -> list[LogPart]:
    """The last lines of the newest pods, the newest first. Raises ClusterError."""
    found: list[_Pod] = []
    await cluster.list(POD, f"{selector},{SERVICE}={deployment}", lambda item: found.append(_kept(item)))
    newest = sorted(found, key=lambda pod: pod.created, reverse=True)[:PODS]
    return list(await asyncio.gather(*(_of_pod(cluster, pod, lines) for pod in newest)))


async def _of_pod(cluster: Cluster, pod: _Pod, lines: int) -> LogPart:
    text = await _log(cluster, pod, lines, previous=False)
    if pod.restarts and text.count(b"\n") < lines:
        text = await _log(cluster, pod, lines, previous=True) + text
    return LogPart(pod.name, last_lines(text, lines))


async def _log(cluster: Cluster, pod: _Pod, lines: int, *, previous: bool) -> bytes:
    try:
        return await cluster.log(pod.name, MODEL, lines=lines, max_bytes=MAX_BYTES + 1, previous=previous)
    except ClusterRejected as error:
        # It has not been started yet, or what it said before is gone.
        return b"" if previous else f"{error}\n".encode()


def _kept(item: dict[str, Any]) -> _Pod:
    metadata, status = item["metadata"], item.get("status") or {}
    restarts = sum(
        int(one.get("restartCount") or 0)
        for one in status.get("containerStatuses") or ()
        if one.get("name") == MODEL
    )
    return _Pod(metadata["name"], str(metadata.get("creationTimestamp") or ""), restarts)
