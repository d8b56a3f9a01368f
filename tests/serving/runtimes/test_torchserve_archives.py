"""Archives that were made for TorchServe run here unchanged, in both runtimes: handlers that derive from its own."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import torch
from PIL import Image

from .. import torchserve_archives
from ..conftest import Front
from .test_native import bodies, remove

NETWORK = """
import torch

class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.linear(x)
"""
CLASSIFIER = """
import json, os
import torch
from ts.torch_handler.base_handler import BaseHandler
from ts.utils.util import map_class_to_label

class Classifier(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        folder = context.system_properties["model_dir"]
        with open(os.path.join(folder, "setup_config.json")) as file:
            self.setup_config = json.load(file)
        with open(os.path.join(folder, "vocabulary", "scale.txt")) as file:
            self.scale = float(file.read())

    def preprocess(self, data):
        rows = [row.get("data") or row.get("body") for row in data]
        return torch.as_tensor(rows, dtype=torch.float32) * self.scale

    def postprocess(self, data):
        probabilities, classes = torch.softmax(data, 1).topk(self.setup_config["topk"])
        return map_class_to_label(probabilities.tolist(), self.mapping, classes.tolist())
"""
PIXELS = """
import base64, io
from PIL import Image
from ts.torch_handler.base_handler import BaseHandler

class Pixels(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        files = [row.get("data") or row.get("body") for row in data]
        files = [base64.b64decode(file) if isinstance(file, str) else file for file in files]
        return [Image.open(io.BytesIO(file)).size for file in files]

    def inference(self, data):
        return data

    def postprocess(self, data):
        return data
"""
SCALE = 0.5
LABELS = {"0": "cat", "1": ["n02084071", "dog"]}
ROWS = [[0.0, 1.0, 2.0], [3.0, -4.0, 5.0], [6.0, 7.0, -8.0]]


@pytest.fixture
def folder(front: Front) -> Iterator[Path]:
    """An empty folder; the model `theirs` is gone at the end."""
    folder = front.folder / "theirs"
    folder.mkdir()
    yield folder
    if front.status("theirs"):
        remove(front, "theirs")
    folder.rename(front.folder / f"theirs-{sum(1 for _ in front.folder.iterdir())}")


def network() -> torch.nn.Module:
    scope: dict[str, Any] = {}
    exec(NETWORK, scope)
    torch.manual_seed(3)
    made: torch.nn.Module = scope["Linear"]().eval()
    return made


def scripted(folder: Path) -> dict[str, Path]:
    torch.jit.trace(network(), torch.zeros(1, 3)).save(str(folder / "model.pt"))
    return {"serialized_file": folder / "model.pt"}


def eager(folder: Path) -> dict[str, Path]:
    torch.save(network().state_dict(), folder / "weights.pth")
    (folder / "network.py").write_text(NETWORK)
    return {"serialized_file": folder / "weights.pth", "model_file": folder / "network.py"}


def exported(folder: Path) -> dict[str, Path]:
    rows = torch.export.Dim("rows", min=1, max=1024)
    program = torch.export.export(network(), (torch.zeros(2, 3),), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "model.pt2")
    return {"serialized_file": folder / "model.pt2"}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def serve(front: Front, path: Path) -> dict[str, Any]:
    front.want("theirs", "1", path)
    return front.wait_until("theirs", state="ready")


def ask(front: Front, tensor: dict[str, Any]) -> httpx.Response:
    return front.client.post("/v2/models/theirs/infer", content=orjson.dumps({"inputs": [tensor]}))


def answers(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    (output,) = response.json()["outputs"]
    assert (output["name"], output["datatype"]) == ("result", "BYTES")
    return [orjson.loads(text) for text in output["data"]]


@pytest.mark.parametrize(
    "model", [scripted, eager, pytest.param(exported, marks=pytest.mark.long)], ids=lambda made: made.__name__
)
class TestClassifier:
    def test_answers_with_the_labels_of_index_to_name_for_every_row(
        self, model: Callable[[Path], dict[str, Path]], front: Front, folder: Path
    ) -> None:
        torchserve_archives.pack(
            folder / "theirs.mar",
            str(write(folder / "classifier.py", CLASSIFIER)),
            **model(folder),
            extra_files=[
                write(folder / "index_to_name.json", orjson.dumps(LABELS).decode()),
                write(folder / "setup_config.json", '{"topk": 2}'),
                write(folder / "more" / "vocabulary" / "scale.txt", str(SCALE)).parents[1],
            ],
        )
        serve(front, folder / "theirs.mar")
        found = answers(ask(front, bodies(*(orjson.dumps(row).decode() for row in ROWS))))
        with torch.inference_mode():
            expected = torch.softmax(network()(torch.tensor(ROWS) * SCALE), 1).tolist()
        assert [list(row) for row in found] == [
            ["cat", "dog"] if row[0] > row[1] else ["dog", "cat"] for row in expected
        ]
        assert [[row["cat"], row["dog"]] for row in found] == [
            pytest.approx(row, abs=1e-5) for row in expected
        ]


class TestImages:
    def test_come_as_a_file_or_in_base64_and_one_that_is_none_is_the_clients_fault(
        self, front: Front, folder: Path
    ) -> None:
        torchserve_archives.pack(
            folder / "theirs.mar",
            str(write(folder / "pixels.py", PIXELS)),
            extra_files=[write(folder / "note.txt", "none")],
        )
        before = serve(front, folder / "theirs.mar")
        buffer = io.BytesIO()
        Image.new("RGB", (7, 5)).save(buffer, "PNG")
        text = base64.b64encode(buffer.getvalue()).decode()
        assert answers(ask(front, bodies(text))) == [[7, 5]]
        in_bytes = {**bodies(text), "parameters": {"content_type": "base64"}}
        assert answers(ask(front, in_bytes)) == [[7, 5]]
        for wrong in ("none", text[:40]):
            rejected = ask(front, bodies(wrong))
            assert rejected.status_code == 400, rejected.text
            assert "send a whole file" in rejected.json()["error"]
        assert front.status("theirs")["processes"] == before["processes"]
