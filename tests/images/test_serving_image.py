"""marina-serving: what was cut out of PyTorch is not missed, and a pod answers its golden pair and ends cleanly."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.images.conftest import Start, python

HOST = "http://127.0.0.1:8080"
WAYS = [("marina-serving", "torchserve"), ("marina-serving", "native"), ("marina-serving-native", "native")]
TORCH = """
import io, torch
from torch import nn
network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)).eval()
pictures = torch.rand(2, 1, 28, 28)
with torch.inference_mode():
    expected = network(pictures)
    traced = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(network, pictures)))
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(network, pictures), file)
    file.seek(0)
    for other in (traced, torch.jit.load(file), torch.jit.script(network), torch.fx.symbolic_trace(network)):
        assert torch.allclose(other(pictures), expected, atol=1e-5)
    flat = torch.rand(2, 4 * 26 * 26)
    assert torch.allclose(torch.vmap(network[3])(flat), network[3](flat), atol=1e-5)
import safetensors.torch
safetensors.torch.load(safetensors.torch.save(network.state_dict()))
file = io.BytesIO()
torch.save(network, file)
file.seek(0)
torch.load(file, weights_only=False)
nn.functional.cross_entropy(network.train()(pictures), torch.tensor([1, 2])).backward()
print("fine", torch.__version__)
"""


@pytest.mark.parametrize("image", ["marina-serving", "marina-serving-native"])
def test_pytorch_traces_saves_loads_and_learns(image: str) -> None:
    assert python(image, TORCH).startswith("fine")


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
