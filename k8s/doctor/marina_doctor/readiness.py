"""Whether the API and its database answer, asked through the API server's proxy."""

import ast
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
        ready = ok(CHECK, "it is ready, and so is its database")
        warning = _said(observed.readyz, "warning")
        return [ready, warn(CHECK, warning, _log_remedy(observed))] if warning else [ready]
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
            _log_remedy(observed),
        )
    ]


def _database_remedy(observed: Observed) -> str:
    if not observed.release.values["postgres"]["enabled"]:
        return "Check `externalDatabase` in the values, and that pods of this namespace reach it"
    name = f"{observed.release.prefix}-postgres"
    return f"Bring {name} up: kubectl --namespace {observed.release.namespace} get statefulset,pod,pvc"


def _log_remedy(observed: Observed) -> str:
    return f"Read kubectl logs deployment/{observed.release.prefix}-metadata-api"


def _detail(response: HttpResponse) -> str:
    """The API's own words, or the proxy's."""
    return _said(response, "detail", "message") or response.text or f"HTTP {response.status}"


def _said(response: HttpResponse, *names: str) -> str:
    """The first of these fields that the body has; empty for none.

    The client hands JSON on as Python would write it.
    """
    try:
        body = json.loads(response.text)
    except ValueError:
        try:
            body = ast.literal_eval(response.text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ""
    found = body if isinstance(body, dict) else {}
    return next((str(found[name]) for name in names if found.get(name)), "")
