"""The environments of the repository, built as a user builds them, and a model in each that needs what it adds."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving_runtime.archive import mar
from serving_runtime.contracts import RUNTIMES
from tests.conftest import ROOT

from ..conftest import Front

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

HANDLER = """
import json

class Model:
    def initialize(self, context):
        {load}

    def handle(self, data, context):
        return [json.dumps({answer}) for _ in data]
"""
# Environment -> how the handler loads a model of random weights, and what it answers with.
MODELS = {
    "vision": (
        "import torch, torchvision; "
        "self.resnet = torchvision.models.resnet18(weights=None).eval(); "
        "self.detector = torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn("
        "weights=None, weights_backbone=None).eval(); self.torch = torch",
        "{'classes': self.resnet(self.torch.rand(1, 3, 64, 64)).shape[1], "
        "'found': sorted(self.detector([self.torch.rand(3, 96, 96)])[0])}",
        {"classes": 1000, "found": ["boxes", "labels", "scores"]},
    ),
    "text": (
        "import sentencepiece, tokenizers, torch, transformers; "
        "config = transformers.BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, "
        "num_attention_heads=2, intermediate_size=16); "
        "self.model = transformers.BertForSequenceClassification(config).eval(); self.torch = torch",
        "{'classes': self.model(self.torch.tensor([[1, 2, 3]])).logits.shape[1]}",
        {"classes": 2},
    ),
    "sklearn": (
        "import onnxruntime, pandas, skops.io; from sklearn.linear_model import LogisticRegression; "
        "self.model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])",
        "{'label': int(self.model.predict([[3.0]])[0])}",
        {"label": 1},
    ),
}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    running = Front(tmp_path_factory.mktemp("real"), SERVING_DEADLINE_SECONDS="60")
    yield running
    running.stop()


def built(name: str) -> str:
    """Build an environment with `make`; what it printed."""
    done = subprocess.run(
        ["make", "-C", str(ROOT), "environment", f"NAME={name}"],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", MODELS)
def test_a_model_runs_in_its_environment(front: Front, name: str) -> None:
    built(name)
    assert "nothing has changed" in built(name)
    load, answer, expected = MODELS[name]
    archive = front.folder / f"{name}.mar"
    handler = HANDLER.format(load=load, answer=answer).encode()
    mar.build(archive, name=name, handler="handler.py", serialized_file=None, files={"handler.py": handler})
    for runtime in RUNTIMES:
        front.want(f"{name}-{runtime}", "1", archive, runtime=runtime, environment=name)
    for runtime in RUNTIMES:
        front.wait_until(f"{name}-{runtime}", seconds=180, state="ready")
        assert asked(front.url, f"{name}-{runtime}") == expected


def test_none_of_them_installs_pytorch_again(front: Front) -> None:
    for name in MODELS:
        built(name)
        packages = Path(sys.prefix) / "environments" / name / "lib"
        assert not list(packages.glob("*/site-packages/torch"))
        assert not list(packages.glob("*/site-packages/nvidia*"))


def asked(url: str, name: str) -> Any:
    tensor = {"name": "data", "datatype": "BYTES", "shape": [1], "data": ["?"]}
    answer = httpx.post(
        f"{url}/v2/models/{name}/infer", json={"inputs": [tensor]}, timeout=70
    ).raise_for_status()
    return json.loads(answer.json()["outputs"][0]["data"][0])
