"""What front and API have in common under `/v2`: what they say of themselves, and how they read an address."""

from typing import Any
from urllib.parse import unquote_to_bytes

from serving_runtime import __version__

EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics")
NOT_OFFERED = (
    "models are not loaded or unloaded here: change what this server shall serve, "
    "with the deployments of the metadata API or in its models file"
)


def metadata() -> dict[str, Any]:
    """`GET /v2`."""
    return {"name": "marina", "version": __version__, "extensions": EXTENSIONS}


def path_elements(raw_path: bytes) -> list[str]:
    """The elements of an address, each unquoted by itself: a quoted slash does not part a name in two."""
    elements = raw_path.strip(b"/").split(b"/")
    if b"%" in raw_path:
        elements = list(map(unquote_to_bytes, elements))
    return [element.decode(errors="replace") for element in elements]
