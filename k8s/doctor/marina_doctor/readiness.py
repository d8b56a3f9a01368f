"""Whether the API and its database answer, asked through the API server's proxy."""

import json

from marina_doctor.findings import Finding, fail, ok, warn
from marina_doctor.observed import HttpResponse, Observed

CHECK = "api"


def check(observed: Observed) -> list[Finding]:
    """What the API says of itself and of its database."""
    if not observed.release.installed or "the API" in observed.unreadable:
        return []
    if observed.readyz is None:
        return [fail(CHECK, "no pod of the API runs", "Look at the lines on workloads and pods")]
    if observed.readyz.status == 200:
        return [ok(CHECK, "it is ready, and so is its database")]
    said = _detail(observed.readyz)
    if "database" in said.lower() or "migrat" in said.lower() or "schema" in said.lower():
        return [fail("database", f"the API says: {said}", _database_remedy(observed))]
    if observed.readyz.status in (401, 403):
        return [
            warn(CHECK, "this user may not ask it through the API server's proxy", "Ask for services/proxy")
        ]
    return [
        fail(
            CHECK,
            f"it is not ready: {said}",
            f"Read kubectl logs deployment/{observed.release.prefix}-metadata-api",
        )
    ]


def _database_remedy(observed: Observed) -> str:
    if not observed.release.values["postgres"]["enabled"]:
        return "Check `externalDatabase` in the values, and that pods of this namespace reach it"
    name = f"{observed.release.prefix}-postgres"
    return f"Bring {name} up: kubectl --namespace {observed.release.namespace} get statefulset,pod,pvc"


def _detail(response: HttpResponse) -> str:
    """The API's own words, or the proxy's."""
    try:
        body = json.loads(response.text)
        return str(body.get("detail") or body.get("message") or response.text)
    except (ValueError, AttributeError):
        return response.text or f"HTTP {response.status}"
