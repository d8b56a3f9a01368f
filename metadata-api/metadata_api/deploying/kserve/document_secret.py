"""The Secrets in which the servers of models find their tokens, and what they record.

The chart makes them, empty, and this fills them in.
"""

import base64
import binascii

from metadata_api.deploying.kserve.config import KServeConfig
from metadata_api.kubernetes import SECRET, Cluster

LOOK_SECONDS = 5.0


class DocumentSecret:
    """A document as the key of a Secret. A pod that waits for it starts then.

    One that was deleted is made again as Helm had made it, so that it belongs to the release still.
    """

    look_seconds = LOOK_SECONDS

    def __init__(self, cluster: Cluster, config: KServeConfig, name: str, key: str) -> None:
        self._cluster = cluster
        self._name = name
        self._key = key
        self._metadata = {
            "name": self._name,
            "namespace": cluster.namespace,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "meta.helm.sh/release-name": config.helm_release or config.release,
                "meta.helm.sh/release-namespace": cluster.namespace,
            },
        }

    async def read(self) -> bytes | None:
        """What is in the key; None without the key or the Secret. Raises ClusterError."""
        found = await self._cluster.get(SECRET, self._name) or {}
        text = (found.get("data") or {}).get(self._key)
        try:
            return None if text is None else base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError, ValueError):
            return b""

    async def write(self, content: bytes) -> None:
        """Put the document into the Secret; raises ClusterError."""
        body = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": self._metadata,
            "data": {self._key: base64.b64encode(content).decode()},
        }
        await self._cluster.apply(SECRET, body, force=True)
