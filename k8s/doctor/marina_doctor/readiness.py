"""Whether the API and its database answer, asked through the API server's proxy."""

import json

from marina_doctor.findings import Finding, fail, ok, warn
from marina_doctor.seen import Answer, Seen

CHECK = "api"


def check(seen: Seen) -> list[Finding]:
    """What the API says of itself and of its database."""
    if not seen.release.installed or "the API" in seen.blind:
        return []
    if seen.readyz is None:
        return [fail(CHECK, "no pod of the API runs", "Look at the lines on workloads and pods")]
    if seen.readyz.status == 200:
        return [ok(CHECK, "it is ready, and so is its database")]
    said = _detail(seen.readyz)
    if "database" in said.lower() or "migrat" in said.lower() or "schema" in said.lower():
        return [fail("database", f"the API says: {said}", _database_remedy(seen))]
    if seen.readyz.status in (401, 403):
        return [
            warn(CHECK, "this user may not ask it through the API server's proxy", "Ask for services/proxy")
        ]
    return [
        fail(
            CHECK,
            f"it is not ready: {said}",
            f"Read kubectl logs deployment/{seen.release.prefix}-metadata-api",
        )
    ]


def _database_remedy(seen: Seen) -> str:
    if not seen.release.values["postgres"]["enabled"]:
        return "Check `externalDatabase` in the values, and that pods of this namespace reach it"
    name = f"{seen.release.prefix}-postgres"
    return f"Bring {name} up: kubectl --namespace {seen.release.namespace} get statefulset,pod,pvc"


def _detail(answer: Answer) -> str:
    """The API's own words, or the proxy's."""
    try:
        body = json.loads(answer.text)
        return str(body.get("detail") or body.get("message") or answer.text)
    except (ValueError, AttributeError):
        return answer.text or f"HTTP {answer.status}"
