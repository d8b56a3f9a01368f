"""A model without training, as a folder that an archive unpacks to: real networks, random weights."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

from serving_runtime.starter import handler
from serving_runtime.starter.predictor import load_network

ROOT = Path(__file__).parents[2]
NETWORKS = ROOT / "models" / "networks"
# As in models/digits.py, whose folder is no package.
FROZEN = (
    "handler.py",
    "base_handler.py",
    "predictor.py",
    "fastest.py",
    "image_files.py",
    "preprocess.py",
    "unusual.py",
)
LABELS = [str(digit) for digit in range(10)]


def untrained(folder: Path, *, network: str = "cnn", seed: int = 0, source: str | None = None) -> Path:
    """Fill `folder` with handler, network (`source` or the file of that name), random weights and model spec."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FROZEN:
        shutil.copy(Path(handler.__file__).parent / name, folder)
    (folder / "network.py").write_text(source or (NETWORKS / f"{network}.py").read_text())
    torch.manual_seed(seed)
    save_file(load_network(folder / "network.py").state_dict(), folder / "weights.safetensors")
    (folder / "model.yaml").write_text(f"labels: {json.dumps(LABELS)}\n")
    return folder


class Context(SimpleNamespace):
    """What TorchServe gives to a handler, as far as ours looks at it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(system_properties={"model_dir": str(folder)}, manifest=None, statuses={})

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.statuses[idx] = (code, phrase)


def loaded(folder: Path) -> Any:
    """The handler of a folder, initialised."""
    model = handler.Handler()
    model.initialize(Context(folder))
    return model
