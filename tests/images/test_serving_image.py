"""marina-serving: what was cut out of PyTorch is not missed, and a pod answers its golden pair and ends cleanly."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.images.conftest import Start, python

HOST = "http://127.0.0.1:8080"
WAYS = [("marina-serving", "torchserve"), ("marina-serving", "native"), ("marina-serving-native", "native")]
NETWORK = """
import io, sys, torch
from torch import nn
network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)).eval()
images = torch.rand(2, 1, 28, 28)
def stored(save, load, what):
    file = io.BytesIO()
    save(what, file)
    file.seek(0)
    return load(file)
"""
SERVES = """
import safetensors.torch
with torch.inference_mode():
    expected = network(images)
    traced = torch.jit.trace(network, images, check_trace=False)
    others = [
        torch.jit.freeze(traced),
        torch.jit.optimize_for_inference(traced),
        stored(torch.jit.save, torch.jit.load, traced),
        torch.jit.script(network),
        torch.fx.symbolic_trace(network),
        stored(torch.save, lambda file: torch.load(file, weights_only=False), network),
    ]
    for other in others:
        assert torch.allclose(other(images), expected, atol=1e-5)
    assert torch.vmap(network[3])(torch.rand(2, 4 * 26 * 26)).shape == (2, 10)
safetensors.torch.load(safetensors.torch.save(network.state_dict()))
print("fine", torch.__version__)
"""
LEARNS = """
torch.jit.trace(network, images)
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
nn.functional.cross_entropy(network(images), torch.tensor([1, 2])).backward()
optimizer.step()
assert torch.func.grad(lambda values: (values ** 2).sum())(torch.ones(3)).tolist() == [2, 2, 2]
print("fine")
"""


@pytest.mark.parametrize("image", ["marina-serving", "marina-serving-native"])
def test_pytorch_computes_traces_saves_and_loads(image: str) -> None:
    assert python(image, NETWORK + SERVES).startswith("fine")


def test_pytorch_checks_its_traces_and_learns() -> None:
    assert python("marina-serving", NETWORK + LEARNS).startswith("fine")


def test_an_exported_program_runs() -> None:
    code = """
import io, torch
network = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Softmax(-1))
file = io.BytesIO()
torch.export.save(torch.export.export(network, (torch.rand(3, 4),)), file)
file.seek(0)
print(torch.export.load(file).module()(torch.rand(3, 4)).shape)
"""
    assert "[3, 2]" in python("marina-serving", code)


@pytest.mark.parametrize("image", ["marina-serving", "marina-serving-native"])
def test_all_of_numpy_can_be_imported(image: str) -> None:
    """As scikit-learn does, in an image on top of this one."""
    assert "fine" in python(image, "from numpy import *; print('fine')")


@pytest.mark.parametrize("image", ["marina-serving", "marina-serving-native"])
def test_handlers_can_derive_from_torchserves_own(image: str) -> None:
    code = """
import ts.context, ts.metrics.dimension, ts.service, ts.utils.util
from ts.torch_handler.base_handler import BaseHandler
print(BaseHandler.__name__)
"""
    assert "BaseHandler" in python(image, code)


@pytest.mark.parametrize(("image", "runtime"), WAYS)
@pytest.mark.parametrize("name", ["cnn-baseline", "mlp-wide"])
def test_a_pod_answers_its_golden_pair_and_ends_cleanly(
    start: Start, starters: Path, name: str, image: str, runtime: str
) -> None:
    pod = start(
        image,
        *("--volume", f"{starters / name}:/mnt/models:ro"),
        *("--env", f"SERVING_MODEL_NAME={name}", "--env", "SERVING_MODEL_VERSION=3"),
        *("--env", f"SERVING_RUNTIME={runtime}"),
    )
    pod.wait_for(f"{HOST}/v2/health/ready", 90)
    golden = golden_pair(starters / name / f"{name}.mar")
    status, body = pod.ask(f"{HOST}/v2/models/{name}/infer", json.dumps(golden["request"]).encode())
    assert status == 200, body
    answer = json.loads(body)
    assert answer["model_version"] == "3"
    probabilities, label = answer["outputs"]
    expected, expected_label = golden["response"]["outputs"]
    assert probabilities["data"] == pytest.approx(expected["data"], abs=1e-4)
    assert label["data"] == expected_label["data"]
    code, seconds = pod.stop()
    assert code == 0, pod.log()
    assert seconds < 15


def test_torchserve_without_java_is_refused_in_one_line(start: Start, starters: Path) -> None:
    pod = start(
        "marina-serving-native",
        *("--volume", f"{starters / 'mlp-wide'}:/mnt/models:ro"),
        *("--env", "SERVING_MODEL_NAME=mlp-wide", "--env", "SERVING_RUNTIME=torchserve"),
    )
    assert pod.ended() == 2
    assert "no Java" in pod.log()


def golden_pair(archive: Path) -> dict[str, Any]:
    """The request that an archive brings along, and the answer that it shall give."""
    with zipfile.ZipFile(archive) as file:
        pair: dict[str, Any] = json.loads(file.read("golden.json"))
    return pair
