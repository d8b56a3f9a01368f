"""Archives whose handlers are written in TorchServe's own styles, or are its stock handlers."""

import io
from pathlib import Path

import torch

from serving_runtime.archive import mar

# TorchServe's base handler with its three steps, as most published archives have it.
STEPS = """
import torch
from ts.torch_handler.base_handler import BaseHandler

class Steps(BaseHandler):
    def preprocess(self, data):
        rows = [row.get("data") or row.get("body") for row in data]
        if any(row == {} for row in rows):
            raise ValueError("an empty row")
        return torch.as_tensor([row["numbers"] for row in rows], dtype=torch.float32)

    def postprocess(self, data):
        return [{"scores": row} for row in torch.softmax(data, 1).tolist()]
"""

# A class of its own, which looks at what TorchServe gives it.
OWN = """
import os
import torch

class Own:
    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        self.model = torch.jit.load(os.path.join(folder, context.manifest["model"]["serializedFile"]))
        self.gpu = context.system_properties.get("gpu_id")
        self.yaml = context.model_yaml_config

    def handle(self, data, context):
        context.set_response_status(200, "OK", 0)
        context.metrics.add_time("OwnTime", 1.0, None, "ms")
        rows = [row.get("data") or row.get("body") for row in data]
        with torch.inference_mode():
            scores = self.model(torch.as_tensor([row["numbers"] for row in rows], dtype=torch.float32))
        return scores.tolist()
"""

FUNCTION = """
import os
import torch

MODEL = None

def entry(data, context):
    global MODEL
    if data is None:
        MODEL = torch.jit.load(os.path.join(context.system_properties["model_dir"], "model.pt"))
        return None
    rows = [row.get("data") or row.get("body") for row in data]
    return [MODEL(torch.as_tensor([row["numbers"]], dtype=torch.float32))[0].tolist() for row in rows]
"""

STYLES = {
    "steps": (STEPS, "handler.py"),
    "own": (OWN, "handler.py"),
    "function": (FUNCTION, "handler.py:entry"),
}


def styled(path: Path, style: str) -> mar.MarInfo:
    """An archive with one of STYLES and a TorchScript model of 3 numbers in, 2 out."""
    source, handler = STYLES[style]
    return _build(path, handler, {"handler.py": source.encode()})


def named(path: Path, handler: str) -> mar.MarInfo:
    """An archive that only names one of TorchServe's stock handlers."""
    return _build(path, handler, {})


def crafted(path: Path, source: str) -> mar.MarInfo:
    """An archive without a model spec around any handler."""
    return _build(path, "handler.py", {"handler.py": source.encode()})


def _build(path: Path, handler: str, files: dict[str, bytes]) -> mar.MarInfo:
    torch.manual_seed(0)
    model = torch.jit.trace(torch.nn.Linear(3, 2).eval(), torch.zeros(1, 3))
    buffer = io.BytesIO()
    torch.jit.save(model, buffer)
    contents: dict[str, bytes | Path] = {**files, "model.pt": buffer.getvalue()}
    return mar.build(path, name="styled", handler=handler, serialized_file="model.pt", files=contents)
