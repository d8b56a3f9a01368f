"""A deployment in a few words, and the banner about the API."""

from model_ui.api_types import Containment, Deployment
from model_ui.render.markup import text


def choice(item: Deployment) -> str:
    """A deployment as one of several to choose from, with its state when that is not the expected one."""
    return item.name if item.ready else f"{item.name} · {item.observed.state}"


def banner(message: str) -> str:
    """HTML of the line on top of all pages; empty when all is well."""
    if not message:
        return ""
    return (
        f'<div class="m-banner" role="alert"><strong>The API is away.</strong> <span>{text(message)}</span> '
        f"<em>This page tries again by itself.</em></div>"
    )


def measures(found: Containment) -> str:
    """What holds a model's worker back, in words."""
    measures = [
        ("Landlock", found.landlock is not None),
        ("namespaces", found.namespaces),
        ("own user", found.own_uid is not None),
        ("no network", found.network == "denied"),
        ("no TCP", found.network == "tcp denied"),
    ]
    return ", ".join(name for name, is_in_force in measures if is_in_force) or "limits only"
