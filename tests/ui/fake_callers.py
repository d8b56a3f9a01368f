"""Who calls the fake API, and the role that a request needs."""

from typing import Any

NOBODY = {
    "subject": "anonymous",
    "role": "admin",
    "kind": "none",
    "expires_at": None,
    "deployments": None,
    "verified_by": None,
}


def token(role: str, number: int = 1) -> str:
    """An API token as the real one makes them; each number is another one."""
    return f"mrn_{number:012x}_{role:_<43}"


def me(role: str, **changes: Any) -> dict[str, Any]:
    """Whom the API takes a token for."""
    return {
        "subject": f"a {role}",
        "role": role,
        "kind": "token",
        "expires_at": None,
        "deployments": None,
        "verified_by": None,
        **changes,
    }


def needed(method: str, path: str) -> str:
    """The role that a request needs."""
    if path.startswith(("/v1/audit", "/v1/tokens")):
        return "admin"
    if path.endswith("/logs"):
        return "deployer"
    if method == "GET":
        return "viewer"
    return {"predictions": "annotator", "inputs": "annotator", "deployments": "deployer"}.get(
        path.split("/")[2], "publisher"
    )
