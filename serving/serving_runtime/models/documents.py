"""What the v2 front says about the server and its models: pure functions from their state to JSON documents.

The metadata is v2's own; configuration, statistics and repository index have the form that Triton gave them, because
its clients ask for them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from serving_runtime.archive import tensor_kinds
from serving_runtime.archive.tensor_kinds import TensorSpec
from serving_runtime.models.version import Version

_TYPES = {"BYTES": "TYPE_STRING"}  # everything else is TYPE_ and the datatype
_STATES = {"ready": "READY", "starting": "LOADING", "stopping": "UNLOADING", "failed": "UNAVAILABLE"}
_NOT_MEASURED = {"count": 0, "ns": 0}

Document = dict[str, Any]


def metadata(version: Version) -> Document:
    """`GET /v2/models/NAME`: the tensors, -1 is any number from 1; `parameters` say what they are."""
    return {
        "name": version.entry.name,
        "versions": [version.entry.version],
        "platform": version.runtime.platform,
        "inputs": _tensors(version.inputs),
        "outputs": _tensors(version.outputs),
    }


def configuration(version: Version) -> Document:
    """`GET /v2/models/NAME/config`: `dims` are without the batch; `max_batch_size` rows go to the model in one call."""
    delay = version.batcher.delay_seconds
    return {
        "name": version.entry.name,
        "platform": version.runtime.platform,
        "backend": version.runtime.backend,
        "max_batch_size": version.batcher.max_rows,
        "dynamic_batching": {"max_queue_delay_microseconds": int(delay * 1e6)} if delay else {},
        "input": _dims(version.inputs),
        "output": _dims(version.outputs),
    }


def statistics(versions: Iterable[Version]) -> Document:
    """`GET /v2/models/stats` and `/v2/models/NAME/stats`; times from the complete request to its answer, in ns."""
    return {"model_stats": [_statistics(version) for version in versions]}


def repository_index(status: Iterable[Document], *, only_ready: bool) -> list[Document]:
    """`POST /v2/repository/index` from what `Models.status` says: the desired versions, and those still serving."""
    listed = []
    for model in status:
        desired, live = model["desired_version"], model["live_version"]
        listed.append(_indexed(model["name"], desired, _STATES[model["state"]], model["reason"]))
        if live is not None and live != desired:
            listed.append(_indexed(model["name"], live, "READY", None))
    return [item for item in listed if item["state"] == "READY" or not only_ready]


def _tensors(specs: Sequence[TensorSpec]) -> list[Document]:
    return [
        {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": spec.shape,
            "parameters": tensor_kinds.parameters(spec),
        }
        for spec in specs
    ]


def _dims(specs: Sequence[TensorSpec]) -> list[Document]:
    return [
        {
            "name": spec.name,
            "data_type": _TYPES.get(spec.datatype, f"TYPE_{spec.datatype}"),
            "dims": spec.shape[1:],
        }
        for spec in specs
    ]


def _statistics(version: Version) -> Document:
    counters = version.metrics.counters
    return {
        "name": version.entry.name,
        "version": version.entry.version,
        "last_inference": counters.last_ms,
        "inference_count": counters.success_rows,
        "execution_count": version.metrics.calls,
        "inference_stats": {
            "success": {"count": counters.success, "ns": counters.success_ns},
            "fail": {"count": counters.failure, "ns": counters.failure_ns},
            "queue": _NOT_MEASURED,
            "compute_input": _NOT_MEASURED,
            "compute_infer": _NOT_MEASURED,
            "compute_output": _NOT_MEASURED,
            "cache_hit": _NOT_MEASURED,
            "cache_miss": _NOT_MEASURED,
        },
        "batch_stats": [],
        "memory_usage": [],
    }


def _indexed(name: str, version: str, state: str, reason: str | None) -> Document:
    return {"name": name, "version": version, "state": state, "reason": reason or ""}
