"""The Secret in which the servers of models find their tokens; the chart makes it, empty, and this fills it in."""

import base64

from metadata_api.kubernetes import SECRET, Cluster

KEY = "tokens.json"


async def write(cluster: Cluster, name: str, document: bytes) -> None:
    """Put the document into the Secret; raises ClusterError. A pod that waits for it starts then."""
    body = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {"name": name, "namespace": cluster.namespace},
        "data": {KEY: base64.b64encode(document).decode()},
    }
    await cluster.apply(SECRET, body, force=True)
