"""Archives of the starter experiments with random weights: their own model specs, networks and handler, no training."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save

from serving_runtime.archive import mar
from serving_runtime.starter import handler
from serving_runtime.starter.predictor import load_network

from .untrained import FROZEN

MODELS = Path(__file__).parents[2] / "models"
NAMES = sorted(path.parent.name for path in MODELS.glob("*/model.yaml"))


def of_each_network() -> list[str]:
    """The first starter of each network: untrained, others of the same network are the same model."""
    found: dict[str, str] = {}
    for name in NAMES:
        found.setdefault(yaml.safe_load((MODELS / name / "model.yaml").read_text())["network"], name)
    return list(found.values())


def starter(
    path: Path, name: str, *, seed: int = 0, more: Mapping[str, bytes | Path] | None = None
) -> mar.MarInfo:
    """Pack the experiment `name` as its trainer does, but untrained and without a golden pair.

    `more` files are put beside its own, or in their place.
    """
    spec = MODELS / name / "model.yaml"
    document = yaml.safe_load(spec.read_text())
    network, packed_handler = document["network"], _handler(document)
    own = MODELS / name / "network.py"
    source = own if own.exists() else MODELS / "networks" / f"{network}.py"
    torch.manual_seed(seed)
    runtime = Path(handler.__file__).parent
    files: dict[str, bytes | Path] = {
        **{part: runtime / part for part in (*FROZEN, packed_handler)},
        "network.py": source,
        "model.yaml": spec,
        "weights.safetensors": save(load_network(source).state_dict()),
        **(more or {}),
    }
    return mar.build(
        path, name=name, handler=packed_handler, serialized_file="weights.safetensors", files=files
    )


def tensor(name: str, rows: int) -> dict[str, Any] | None:
    """The v2 tensor for a starter of tables, texts or colour images; None for one of digits."""
    (taken,) = yaml.safe_load((MODELS / name / "model.yaml").read_text())["inputs"]
    shape = [rows, *taken["shape"][1:]]
    if taken["datatype"] == "BYTES":
        data: list[Any] = [f"{taken['example']} {at}" for at in range(rows)]
    elif "columns" in taken:
        data = [float(at % 2) for at in range(math.prod(shape))]
    elif len(shape) == 4:
        data = [at * 7 % 256 for at in range(math.prod(shape))]
    else:
        return None
    return {"name": taken["name"], "datatype": taken["datatype"], "shape": shape, "data": data}


def _handler(spec: dict[str, Any]) -> str:
    """As in models/datasets.py, whose folder is no package."""
    (taken,) = spec["inputs"]
    if "columns" in taken:
        return "table_handler.py"
    if taken["datatype"] == "BYTES":
        return "text_handler.py"
    return "handler.py" if len(taken["shape"]) == 3 else "image_handler.py"
