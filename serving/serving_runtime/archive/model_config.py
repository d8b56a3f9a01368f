"""The configuration file of an archive (`torch-model-archiver --config-file`): all of it is the handler's.

What TorchServe itself would read of it becomes the version's defaults; what cannot be honoured is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving_runtime.archive.model_spec import ModelSpecError, load_yaml
from serving_runtime.contracts import BATCH_SIZE_BOUNDS

MAX_ROWS = BATCH_SIZE_BOUNDS[1]

_ONE_WORKER = "each deployment has one worker in each replica; set its replicas instead"
_NOT_HONOURED: Mapping[str, str] = {
    "minWorkers": _ONE_WORKER,
    "maxWorkers": _ONE_WORKER,
    "deviceType": "models run on the CPU",
    "deviceIds": "models run on the CPU",
    "parallelType": "a model runs in one process",
    "parallelLevel": "a model runs in one process",
    "torchrun": "a model runs in one process",
    "rpc": "a model runs in one process",
    "useJobTicket": "rejecting early is set for the server, by SERVING_QUEUE_SECONDS",
    "jobQueueSize": "the queue is set for the server, by SERVING_QUEUE_LIMIT",
    "clientTimeoutInMills": "the deadline is set for the server, by SERVING_DEADLINE_SECONDS",
    "maxRetryTimeoutInSec": "a worker that fails is replaced for as long as the deployment runs",
    "continuousBatching": "streamed answers are not offered",
    "sequenceBatching": "sequences are not offered",
    "maxSequenceJobQueueSize": "sequences are not offered",
    "maxNumSequence": "sequences are not offered",
    "sequenceMaxIdleMSec": "sequences are not offered",
    "useVenv": "packages belong to the serving image",
    "asyncCommunication": "a worker gets one batch at a time",
}


class ModelConfigError(ValueError):
    """The file cannot be used; the text says which key and what to write instead."""


@dataclass(frozen=True)
class ModelConfig:
    """What an archive asks for; None where it says nothing."""

    values: dict[str, Any] = field(default_factory=dict)
    """All of the file, for the handler."""
    batch_size: int | None = None
    """Most rows in one call."""
    batch_delay_seconds: float | None = None
    """How long a request waits for others to share its call."""
    startup_seconds: float | None = None
    response_seconds: float | None = None
    not_honoured: tuple[str, ...] = ()
    """One text for each key that is given and has no effect."""

    @property
    def settings(self) -> dict[str, Any]:
        """What becomes the version's defaults, and what does not, as JSON."""
        return {
            "batch_size": self.batch_size,
            "batch_delay_seconds": self.batch_delay_seconds,
            "startup_seconds": self.startup_seconds,
            "response_seconds": self.response_seconds,
            "not_honoured": list(self.not_honoured),
        }


def parse(text: bytes) -> ModelConfig:
    """Read the file (YAML, UTF-8, at most 64 KiB). Raises ModelConfigError."""
    try:
        values = load_yaml(text, "the file")
    except ModelSpecError as error:
        raise ModelConfigError(str(error)) from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ModelConfigError("it must be a mapping of names to values")
    delay = _number(values, "maxBatchDelay", least=0, most=60_000)
    return ModelConfig(
        values=values,
        batch_size=_whole(values, "batchSize", least=1, most=MAX_ROWS),
        batch_delay_seconds=None if delay is None else delay / 1000,
        startup_seconds=_number(values, "startupTimeout", least=1, most=86_400),
        response_seconds=_number(values, "responseTimeout", least=1, most=86_400),
        not_honoured=tuple(
            f"{key}: {why}" for key, why in _NOT_HONOURED.items() if not _is_so_anyway(key, values.get(key))
        ),
    )


def _is_so_anyway(key: str, value: object) -> bool:
    if key in ("minWorkers", "maxWorkers", "parallelLevel"):
        return value is None or value == 1
    return value is None or value is False or (key == "deviceType" and str(value).lower() == "cpu")


def _whole(values: Mapping[str, Any], key: str, *, least: int, most: int) -> int | None:
    value = values.get(key)
    if value is not None and (type(value) is not int or not least <= value <= most):
        raise ModelConfigError(f"{key} must be a whole number from {least} to {most}")
    return value


def _number(values: Mapping[str, Any], key: str, *, least: float, most: float) -> float | None:
    value = values.get(key)
    if value is not None and (type(value) not in (int, float) or not least <= value <= most):
        raise ModelConfigError(f"{key} must be a number from {least} to {most}")
    return value
