"""What the deployer for Kubernetes does with objects: the chart's Role allows exactly this."""

from typing import Any

from metadata_api.kubernetes import HTTP_ROUTE, INFERENCE_SERVICE, INGRESS, POD, POD_LOG, SECRET

Json = dict[str, Any]
OWNED = ["get", "list", "watch", "create", "patch", "delete"]
STALE = ["list", "delete"]
RULES: dict[str, list[Json]] = {
    mode: [
        {"apiGroups": [kind.group], "resources": [kind.plural], "verbs": verbs}
        for kind, verbs in [
            (INFERENCE_SERVICE, OWNED),
            *routes,
            (SECRET, ["get", "patch", "create"]),
            (POD, ["list"]),
            (POD_LOG, ["get"]),
        ]
    ]
    for mode, routes in {
        "ingress": [(INGRESS, OWNED), (HTTP_ROUTE, STALE)],
        "gateway": [(HTTP_ROUTE, OWNED), (INGRESS, STALE)],
        "none": [(INGRESS, STALE), (HTTP_ROUTE, STALE)],
    }.items()
}
"""What the API's Role must allow, by `expose.mode`, as it stands in the Role."""
