"""Packs a trained network as a self-contained .mar, with the golden pair that proves it wherever it loads."""

import importlib
import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from datasets import STARTER, Array, Dataset
from experiments import Experiment
from serving_runtime.archive import mar


def pack(
    experiment: Experiment,
    folder: Path,
    *,
    weights: bytes,
    training: dict[str, Any],
    data: Dataset,
    example: Any,
) -> mar.MarInfo:
    """Write weights.safetensors, training.json, golden.json and NAME.mar into `folder`.

    The golden pair is one input of the data set, `example`, and what the packed model answers. Same arguments, same
    bytes. Raises MarError, OSError.
    """
    files = contents(experiment, weights, training, data)
    files["golden.json"] = _json(_golden(experiment, files, data, example))
    for name in ("weights.safetensors", "training.json", "golden.json"):
        _write(folder / name, files[name])
    return mar.build(
        folder / f"{experiment.spec.name}.mar",
        name=experiment.spec.name,
        handler=data.handler,
        serialized_file="weights.safetensors",
        files=files,
    )


def contents(
    experiment: Experiment, weights: bytes, training: dict[str, Any], data: Dataset
) -> dict[str, bytes]:
    """The files of an archive by name, all but the golden pair."""
    return {
        **{name: (STARTER / name).read_bytes() for name in data.frozen},
        "network.py": experiment.network.read_bytes(),
        "model.yaml": experiment.spec_text,
        "weights.safetensors": weights,
        "training.json": _json(training),
    }


def _golden(experiment: Experiment, files: dict[str, bytes], data: Dataset, example: Any) -> dict[str, Any]:
    (taken,) = experiment.spec.inputs
    with tempfile.TemporaryDirectory() as folder:
        for name, body in files.items():
            (Path(folder) / name).write_bytes(body)
        handler = importlib.import_module(f"serving_runtime.starter.{Path(data.handler).stem}")
        model = handler.Handler()
        model.initialize(SimpleNamespace(system_properties={"model_dir": folder}, manifest=None))
        outputs = model.predict({taken.name: np.array([example])})
    return {
        "request": {
            "inputs": [{"name": taken.name, "datatype": taken.datatype, **data.tensor(example)}],
        },
        "response": {
            "outputs": [
                _tensor(given.name, given.datatype, outputs[given.name]) for given in experiment.spec.outputs
            ]
        },
    }


def _tensor(name: str, datatype: str, values: Array) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(values.shape),
        "data": values.reshape(-1).tolist(),
    }


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True) + "\n").encode()


def _write(path: Path, body: bytes) -> None:
    """Whole or not at all: another process may read the file meanwhile."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(body)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
