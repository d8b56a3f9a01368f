"""Packs a trained network as a self-contained .mar, with the golden pair that proves it wherever it loads."""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from digits import request
from experiments import FROZEN, STARTER, Experiment
from serving_runtime.archive import mar
from serving_runtime.starter import handler


def pack(
    experiment: Experiment,
    folder: Path,
    *,
    weights: bytes,
    training: dict[str, Any],
    example: npt.NDArray[np.uint8],
) -> mar.MarInfo:
    """Write weights.safetensors, training.json, golden.json and NAME.mar into `folder`.

    The golden pair is the image `example` [28, 28] and what the packed model answers. Same arguments, same
    bytes. Raises MarError, OSError.
    """
    files = contents(experiment, weights, training)
    files["golden.json"] = _json(_golden(files, example))
    for name in ("weights.safetensors", "training.json", "golden.json"):
        _write(folder / name, files[name])
    return mar.build(
        folder / f"{experiment.spec.name}.mar",
        name=experiment.spec.name,
        handler="handler.py",
        serialized_file="weights.safetensors",
        files=files,
    )


def contents(experiment: Experiment, weights: bytes, training: dict[str, Any]) -> dict[str, bytes]:
    """The files of an archive by name, all but the golden pair."""
    return {
        **{name: (STARTER / name).read_bytes() for name in FROZEN},
        "network.py": experiment.network.read_bytes(),
        "model.yaml": experiment.spec_text,
        "weights.safetensors": weights,
        "training.json": _json(training),
    }


def _golden(files: dict[str, bytes], example: npt.NDArray[np.uint8]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        for name, body in files.items():
            (Path(folder) / name).write_bytes(body)
        model = handler.Handler()
        model.initialize(SimpleNamespace(system_properties={"model_dir": folder}, manifest=None))
        outputs = model.predict({"image": example[np.newaxis]})
    probabilities, label = outputs["probabilities"], outputs["label"]
    return {
        "request": request(example),
        "response": {
            "outputs": [
                _tensor("probabilities", "FP32", probabilities),
                _tensor("label", "BYTES", label),
            ]
        },
    }


def _tensor(name: str, datatype: str, values: npt.NDArray[Any]) -> dict[str, Any]:
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
