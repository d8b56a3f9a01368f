"""What a handler in TorchServe's style is given as `context` where there is no TorchServe.

The names and meanings are those of `ts.context.Context`, as far as they make sense without Java: there are no request
headers, and response headers and metrics go nowhere, as they do behind our front with TorchServe.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Context:
    """The context of one loaded model. What it does not have raises AttributeError with what to do."""

    def __init__(self, directory: Path, manifest: dict[str, Any]) -> None:
        self.model_name: str = manifest["model"]["modelName"]
        self.manifest = manifest
        self.model_yaml_config: dict[str, Any] = {}
        self.metrics = _NoMetrics()
        self.request_ids: dict[int, str] = {}
        self.system_properties: dict[str, Any] = {
            "model_dir": str(directory),
            "gpu_id": None,
            "batch_size": 1,
            "server_name": "marina",
            "server_version": "native",
            "limit_max_image_pixels": True,
        }

    def get_request_id(self, idx: int = 0) -> str | None:
        """None: requests have no ids here."""
        return self.request_ids.get(idx)

    def get_request_header(self, idx: int, key: str) -> str | None:  # noqa: ARG002 - TorchServe's signature
        """None: headers stay in the front."""
        return None

    def get_all_request_header(self, idx: int) -> dict[str, str]:  # noqa: ARG002 - TorchServe's signature
        """Empty: headers stay in the front."""
        return {}

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Ignored: the status of an answer is the front's."""

    def set_all_response_status(self, code: int = 200, phrase: str = "") -> None:
        """Ignored: the status of an answer is the front's."""

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Ignored: answers are v2 tensors."""

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Ignored: answers are v2 tensors."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the native runtime has no context.{name}: deploy it with runtime torchserve")


class _NoMetrics:
    """Takes every metric that a handler may add, and forgets it."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith(("add_", "emit", "set_")):
            raise AttributeError(f"the native runtime keeps no metrics: metrics.{name} is not there")
        return lambda *_args, **_kwargs: None
