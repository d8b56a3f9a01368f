"""Where the time of a request goes: each part of it alone, in one thread, without network and processes."""

import os
import statistics
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving_runtime import processes
from serving_runtime.archive import mar
from serving_runtime.archive.manifest import read_manifest
from serving_runtime.protocol import frames, rest
from serving_runtime.protocol.rest import InferRequest
from serving_runtime.worker import batches
from tests.bench import bench

RUNS = 300
BATCH = 16
ONE, MANY = "worker: frame, model, frame, 1 image", f"worker: the same, {BATCH} images"

Microseconds = dict[str, float]


@dataclass(frozen=True)
class Parts:
    """The table as lines of Markdown, and what a worker gives that does nothing else: no server is faster with it."""

    table: list[str]
    one_ms: float
    """One image."""
    rate: float
    """Images a second in full batches."""


def measure(archive: Path, folder: Path) -> Microseconds:
    """Each part for the model in `archive`, unpacked into `folder`: loaded anew, the median of many runs."""
    spec = mar.inspect(archive).spec
    assert spec is not None
    zipfile.ZipFile(archive).extractall(folder)
    processes.tune_malloc()  # as workers do
    os.environ["SERVING_TORCH_THREADS"] = "1"
    model, problem = batches.load(folder, read_manifest(folder))
    assert model is not None, problem
    body, inputs, outputs = bench.body([1, 28, 28]), spec.inputs, spec.outputs
    request = rest.decode_request(body, inputs, outputs)
    one, batch = _frame([request]), _frame([request] * BATCH)
    answer = b"".join(batches.run_batch(model, one))
    _, answered = frames.decode(answer)
    return {
        "front: JSON to a checked tensor": _microseconds(lambda: rest.decode_request(body, inputs, outputs)),
        "front: frame for the worker": _microseconds(lambda: _frame([request])),
        ONE: _microseconds(lambda: batches.run_batch(model, one)),
        MANY: _microseconds(lambda: batches.run_batch(model, batch)),
        "front: frame to tensors": _microseconds(lambda: frames.decode(answer)),
        "front: answer as JSON": _microseconds(lambda: rest.encode_response("digits", "1", None, answered)),
    }


def summary(rounds: Sequence[Microseconds]) -> Parts:
    """The medians of all rounds."""
    found = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    limit = BATCH / found[MANY] * 1e6
    lines = [
        "| part | µs |",
        "| --- | ---: |",
        *(f"| {name} | {value:,.0f} |" for name, value in found.items()),
    ]
    lines += [
        "",
        f"One core that runs nothing but full batches of {BATCH} answers {limit:,.0f} images a second:",
        "no kind of request is answered faster by one worker. What JSON costs is paid by the front, on another core,",
        "while the model works: binary tensors save its time, and change the rate only where the front is the limit.",
    ]
    return Parts(lines, found[ONE] / 1000, limit)


def _frame(requests: list[InferRequest]) -> bytes:
    header = {"rows": [request.rows for request in requests]}
    return b"".join(frames.encode(header, frames.join_requests([request.inputs for request in requests])))


def _microseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6
