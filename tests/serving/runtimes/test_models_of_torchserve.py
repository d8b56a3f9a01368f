"""The kinds of models that TorchServe's users have, as they packed them: a right answer in both runtimes in 30 seconds.

Archives are made by `torch-model-archiver` from models of random weights; what is right says the library of each alone.
"""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving_runtime.contracts import RUNTIMES
from tests.conftest import ROOT

from .. import torchserve_archives
from ..conftest import Front
from .test_native import remove

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SECONDS = 30.0
"""From the uploaded archive to the first right answer."""


@dataclass(frozen=True)
class Model:
    """How one is packed. Names of files are those that its script writes; all others are extra files."""

    script: str
    environment: str
    handler: str
    serialized_file: str
    model_file: str | None = None


MODELS = {
    "scripted": Model("vision_models.py", "vision", "image_classifier", "model.pt"),
    "eager": Model("vision_models.py", "vision", "image_classifier", "weights.pth", "network.py"),
    "exported": Model("vision_models.py", "vision", "image_classifier", "model.pt2"),
    "segmenter": Model("vision_models.py", "vision", "image_segmenter", "model.pt"),
    "detector": Model("vision_models.py", "vision", "object_detector", "weights.pth", "network.py"),
    "words": Model("vision_models.py", "vision", "text_classifier", "weights.pth", "network.py"),
    "transformer": Model("text_models.py", "text", "handler.py", "model.safetensors"),
    "pipeline": Model("table_models.py", "sklearn", "handler.py", "pipeline.skops"),
}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    running = Front(
        tmp_path_factory.mktemp("theirs"),
        SERVING_DEADLINE_SECONDS="20",
        SERVING_MAX_BODY_BYTES=str(16 * 1024 * 1024),
    )
    yield running
    running.stop()


@pytest.mark.parametrize("kind", MODELS)
def test_an_archive_of_torchserve_answers_right_within_30_seconds(
    kind: str, front: Front, tmp_path: Path
) -> None:
    model = MODELS[kind]
    folder = made(model, kind, tmp_path)
    expected = json.loads((folder / "expected.json").read_text())
    for runtime in RUNTIMES:
        name = f"{kind}-{runtime}"
        archive = packed(model, folder, tmp_path / f"{name}.mar")
        begin = time.monotonic()
        front.want(name, "1", archive, runtime=runtime, environment=model.environment)
        front.wait_until(name, state="ready", seconds=180)
        (answer,) = asked(front, name, folder, rows=1)
        seconds = time.monotonic() - begin
        assert fits(answer, expected)
        assert all(fits(each, expected) for each in asked(front, name, folder, rows=3))
        print(f"{name}: {seconds:.1f} s", file=sys.stderr)
        assert seconds < SECONDS
        remove(front, name)


def made(model: Model, kind: str, tmp_path: Path) -> Path:
    """The files of a model, written by its script in the environment where its library is."""
    subprocess.run(
        ["make", "-C", str(ROOT), "environment", f"NAME={model.environment}"],
        check=True,
        timeout=800,
        capture_output=True,
    )
    folder = tmp_path / "files"
    folder.mkdir()
    python = Path(sys.prefix) / "environments" / model.environment / "bin" / "python"
    script = Path(__file__).parents[1] / model.script
    subprocess.run([str(python), str(script), kind, str(folder)], check=True, timeout=300)
    return folder


def packed(model: Model, folder: Path, path: Path) -> Path:
    own = {
        model.handler,
        model.serialized_file,
        model.model_file,
        "expected.json",
        "image.png",
        "request.txt",
    }
    handler = folder / model.handler
    torchserve_archives.pack(
        path,
        str(handler) if handler.is_file() else model.handler,
        serialized_file=folder / model.serialized_file,
        model_file=None if model.model_file is None else folder / model.model_file,
        extra_files=sorted(file for file in folder.iterdir() if file.name not in own),
    )
    return path


def asked(front: Front, name: str, folder: Path, *, rows: int) -> list[Any]:
    image, text = folder / "image.png", folder / "request.txt"
    tensor: dict[str, Any] = {"name": "data", "datatype": "BYTES", "shape": [rows]}
    if image.is_file():
        tensor["data"] = [base64.b64encode(image.read_bytes()).decode()] * rows
        tensor["parameters"] = {"content_type": "base64"}
    else:
        tensor["data"] = [text.read_text()] * rows
    answer: httpx.Response = front.client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]})
    assert answer.status_code == 200, answer.text[:1000]
    (output,) = answer.json()["outputs"]
    return [json.loads(each) for each in output["data"]]


def fits(found: Any, expected: Any) -> bool:
    """Whether an answer is the expected one; of a map of classes, one pixel in 16 each way is looked at."""
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(fits(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        step = 16 if len(found) == 16 * len(expected) else 1
        return len(found) == step * len(expected) and all(map(fits, found[::step], expected))
    return bool(found == pytest.approx(expected, abs=1e-3))
