"""Archives of the starter experiments with random weights: their own model specs, networks and handler, no training."""

from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from safetensors.torch import save

from serving_runtime.archive import mar
from serving_runtime.starter import handler
from serving_runtime.starter.predictor import load_network

from .untrained import FROZEN

MODELS = Path(__file__).parents[2] / "models"
NAMES = sorted(path.parent.name for path in MODELS.glob("*/model.yaml"))


def starter(
    path: Path, name: str, *, seed: int = 0, more: Mapping[str, bytes | Path] | None = None
) -> mar.MarInfo:
    """Pack the experiment `name` as its trainer does, but untrained and without a golden pair.

    `more` files are put beside its own, or in their place.
    """
    spec = MODELS / name / "model.yaml"
    network = yaml.safe_load(spec.read_text())["network"]
    own = MODELS / name / "network.py"
    source = own if own.exists() else MODELS / "networks" / f"{network}.py"
    torch.manual_seed(seed)
    runtime = Path(handler.__file__).parent
    files: dict[str, bytes | Path] = {
        **{part: runtime / part for part in FROZEN},
        "network.py": source,
        "model.yaml": spec,
        "weights.safetensors": save(load_network(source).state_dict()),
        **(more or {}),
    }
    return mar.build(
        path, name=name, handler="handler.py", serialized_file="weights.safetensors", files=files
    )
