"""The handler in an archive: whole batches for our front, plain rows for TorchServe, and self-contained."""

import ast
import inspect
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from serving_runtime.starter import handler

from ..untrained import LABELS, ROOT, Context, loaded, untrained

FIVE = (ROOT / "models" / "examples" / "digit-5.png").read_bytes()
PIXELS = json.loads((ROOT / "models" / "examples" / "five.json").read_text())["inputs"][0]["data"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("model"), network="mlp")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Any]:
    before = torch.get_num_threads()
    yield loaded(folder)
    torch.set_num_threads(before)


def raw(count: int = 1) -> np.ndarray:
    return np.resize(np.array(PIXELS, np.uint8), (count, 28, 28))


class TestPredict:
    def test_answers_with_probabilities_and_the_likeliest_label(self, model: Any) -> None:
        outputs = model.predict({"image": raw(3)})
        assert set(outputs) == {"probabilities", "label"}
        assert outputs["probabilities"].shape == (3, 10)
        assert outputs["probabilities"].dtype == np.float32
        assert outputs["label"].dtype == object
        assert outputs["label"].tolist() == [LABELS[at] for at in outputs["probabilities"].argmax(1)]
        assert all(type(label) is str for label in outputs["label"])

    def test_pixels_floats_and_a_image_of_one_digit_get_one_answer(self, model: Any) -> None:
        image = np.empty(1, object)
        image[0] = FIVE
        ways = [raw(), raw().astype(np.float32) / 255, image]
        answers = [model.predict({"image": image}, return_preprocessed=True) for image in ways]
        for answer in answers[1:]:
            assert np.allclose(answer["probabilities"], answers[0]["probabilities"], atol=1e-6)
            assert np.array_equal(answer["preprocessed"], raw())

    def test_shows_what_the_network_got_only_when_asked(self, model: Any) -> None:
        assert "preprocessed" not in model.predict({"image": raw()})
        assert model.predict({"image": raw()}, return_preprocessed=True)["preprocessed"].dtype == np.uint8

    def test_says_what_is_unusual_only_when_asked(self, model: Any) -> None:
        assert "warning" not in model.predict({"image": raw()})
        blank = np.concatenate([raw(), np.zeros((1, 28, 28), np.uint8)])
        said = model.predict({"image": blank}, return_warnings=True)["warning"]
        assert (said.dtype, said[0]) == (object, "")
        assert "blank" in said[1]
        with pytest.raises(ValueError, match="return_warnings"):
            model.predict({"image": blank}, return_warnings="yes")

    @pytest.mark.parametrize(
        "inputs", [{}, {"img": raw()}, {"image": raw(0)}, {"image": raw().reshape(1, 784)}]
    )
    def test_rejects_what_is_no_image(self, inputs: dict[str, Any], model: Any) -> None:
        with pytest.raises(ValueError, match="image"):
            model.predict(inputs)

    def test_takes_its_threads_from_the_environment(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = torch.get_num_threads()
        monkeypatch.setenv("SERVING_TORCH_THREADS", "2")
        loaded(folder)
        assert torch.get_num_threads() == 2
        monkeypatch.delenv("SERVING_TORCH_THREADS")
        loaded(folder)
        assert torch.get_num_threads() == 1
        torch.set_num_threads(before)


class TestHandle:
    BODIES = (
        FIVE,
        bytearray(FIVE),
        bytes(PIXELS),
        json.dumps(PIXELS).encode(),
        json.dumps({"image": np.reshape(PIXELS, (28, 28)).tolist()}),
        PIXELS,
        {"image": [value / 255 for value in PIXELS]},
    )

    def test_every_way_to_send_a_digit_gets_one_answer(self, model: Any, folder: Path) -> None:
        rows = [{"body": body} for body in self.BODIES] + [{"data": FIVE}]
        answers = model.handle(rows, Context(folder))
        for answer in answers:
            assert answer["label"] == answers[0]["label"]
            assert list(answer["probabilities"]) == LABELS
            assert answer["probabilities"] == pytest.approx(answers[0]["probabilities"], abs=1e-6)
        json.dumps(answers)

    def test_bad_row_gets_400_and_its_mates_their_answers(self, model: Any, folder: Path) -> None:
        context = Context(folder)
        good, bad, also_good = model.handle([{"body": FIVE}, {"body": b"junk"}, {"body": FIVE}], context)
        assert good == also_good
        assert "not a readable" in bad["error"]
        assert context.statuses == {1: (400, "Bad Request")}

    @pytest.mark.parametrize(
        "body",
        [
            *[None, "", b"", "{", b"[1, 2", [], {}, {"image": None}, [0] * 783, [0] * 785],
            *[[300] * 784, [-1] * 784, [0.5, 300] * 392, [True] * 784, ["0"] * 784, [[[0] * 784]]],
            *[
                b"[" * 100_000,
                b"[" + b"9" * 5000 + b"]",
                [float("nan")] * 784,
                [10**400] * 784,
                5,
                b"\xff" * 785,
            ],
        ],
    )
    def test_bad_body_gets_400(self, body: Any, model: Any, folder: Path) -> None:
        context = Context(folder)
        assert list(model.handle([{"body": body}], context)[0]) == ["error"]
        assert context.statuses == {0: (400, "Bad Request")}


class TestSelfContained:
    def test_handler_has_the_one_class_that_torchserve_wants(self) -> None:
        tree = ast.parse(inspect.getsource(handler))
        assert [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)] == ["Handler"]

    def test_torchserve_loads_and_asks_it_without_our_package(self, folder: Path) -> None:
        """TorchServe's own loader, in a process in which serving_runtime cannot be imported."""
        script = textwrap.dedent("""
            import importlib.abc, json, sys

            class Hidden(importlib.abc.MetaPathFinder):
                def find_spec(self, name, path=None, target=None):
                    if name.split(".")[0] == "serving_runtime":
                        raise ModuleNotFoundError(name)

            sys.meta_path.insert(0, Hidden())
            sys.path.insert(0, sys.argv[1])
            from ts.model_loader import TsModelLoader
            service = TsModelLoader().load("digits", sys.argv[1], "handler.py", None, 1)
            answers = service._entry_point([{"body": open(sys.argv[2], "rb").read()}], service.context)
            print(json.dumps(answers))
        """)
        example = ROOT / "models" / "examples" / "digit-5.png"
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command: list[str | Path] = [sys.executable, "-W", "ignore", "-c", script, folder, example]
        run = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120
        )
        assert run.returncode == 0, run.stderr
        (answer,) = json.loads(run.stdout.splitlines()[-1])
        assert answer["label"] in LABELS
