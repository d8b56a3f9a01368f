"""What every server of Marina says of itself under `/v2`: the front, and the API before all fronts."""

from typing import Any

from serving_runtime import __version__

EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics")
NOT_OFFERED = (
    "models are not loaded or unloaded here: change what this server shall serve, "
    "with the deployments of the metadata API or in its models file"
)


def metadata() -> dict[str, Any]:
    """`GET /v2`."""
    return {"name": "marina", "version": __version__, "extensions": EXTENSIONS}
