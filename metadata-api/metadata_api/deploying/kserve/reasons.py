"""Reasons in plain words: why an object could not be written, or is not known."""

from typing import Any

from metadata_api.kubernetes import ClusterRejected, Kind

Json = dict[str, Any]


def rejected(body: Json, error: ClusterRejected) -> str:
    """Why an object could not be written."""
    what = f"{body['kind']} {body['metadata']['name']}"
    if error.status == 409:
        return str(error)[:1000]
    if error.status == 404:
        return f"The cluster does not know {body['kind']}s of {body['apiVersion']}. Install what brings them."
    if error.status == 403:
        return f"Kubernetes does not allow the {what}: {error}"[:1000]
    return f"Kubernetes rejects the {what}: {error}"[:1000]


def not_ours(kind: Kind, name: str) -> str:
    """That an object of this name belongs to somebody else."""
    return (
        f"There is a {kind.kind} {name} already that was not made by Marina. "
        "Delete it, or deploy under another name."
    )


def sentence(problem: object) -> str:
    """A problem as a sentence of its own."""
    said = str(problem)
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."
