"""Every folder of models/ is an experiment that trains; the trained starters are as good as they should be."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

from digits import EXAMPLES, Dataset, Digits, request, write_examples
from experiments import Experiment, find, names
from learning import Learned, learn, settings
from serving_runtime.archive import mar
from serving_runtime.starter.handler import Handler
from serving_runtime.starter.predictor import load_network
from serving_runtime.starter.preprocess import to_network
from tests.models import made


def share_right(experiment: Experiment, learned: Learned, digits: Digits) -> float:
    """Accuracy of the weights that were learned, in a network that loads them anew."""
    network = load_network(experiment.network)
    network.load_state_dict(load(learned.weights))
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(to_network(digits.images)).unsqueeze(1))
    return float((logits.argmax(1).numpy() == digits.labels).mean())


class TestFolders:
    def test_there_are_at_least_five_of_two_kinds(self) -> None:
        kinds = {name.partition("-")[0] for name in names()}
        assert len(names()) >= 5
        assert kinds == {"cnn", "mlp"}

    def test_learning_rates_and_momenta_differ(self) -> None:
        found = [settings(find(name).spec) for name in names()]
        assert len({item.learning_rate for item in found}) >= 3
        assert len({item.momentum for item in found}) >= 3

    @pytest.mark.parametrize("name", names())
    def test_spec_is_valid_and_a_few_steps_of_training_work(self, name: str, few: Dataset) -> None:
        experiment = find(name)
        spec = dataclasses.replace(experiment.spec, parameters={**experiment.spec.parameters, "epochs": 1})
        threads = torch.get_num_threads()
        experiment = dataclasses.replace(experiment, spec=spec)
        learned = learn(experiment, few.train, few.test)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        assert len(learned.curves["loss"]["values"]) == -(-96 // settings(spec).batch_size)
        assert learned.metrics["test_accuracy"] == pytest.approx(
            share_right(experiment, learned, few.test), abs=1e-6
        )
        assert spec.labels == tuple("0123456789")

    def test_cnn_has_the_weights_that_comparisons_assume(self) -> None:
        network = load_network(find("cnn-baseline").network)
        assert sum(weight.numel() for weight in network.parameters()) == 1_199_882


class TestExamples:
    def test_are_held_out_digits_one_of_each_class(self) -> None:
        held_out = Dataset().test
        for label in range(10):
            image = np.asarray(Image.open(EXAMPLES / f"digit-{label}.png"))
            assert np.array_equal(image, held_out.first(label))

    def test_request_is_that_of_the_five(self, tmp_path: Path) -> None:
        assert json.loads((EXAMPLES / "five.json").read_text()) == request(Dataset().test.first(5))
        write_examples(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {path.name for path in EXAMPLES.iterdir()}

    def test_data_are_eight_thousand_to_train_and_two_thousand_held_out(self) -> None:
        data = Dataset()
        assert (len(data.train), len(data.test)) == (8000, 2000)
        held_out = {image.tobytes() for image in data.test.images}
        assert not any(image.tobytes() in held_out for image in data.train.images)


@pytest.fixture(scope="module")
def starters(
    starter_mars: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[mar.MarInfo, Any]]:
    """Each trained starter: what its archive says, and the handler in it, loaded."""
    found: dict[str, tuple[mar.MarInfo, Any]] = {}
    for name, path in starter_mars.items():
        folder = tmp_path_factory.mktemp("starters") / name
        info = mar.unpack(path, folder)
        model = Handler()
        model.initialize(
            SimpleNamespace(system_properties={"model_dir": str(folder)}, manifest=info.manifest)
        )
        found[name] = info, model
    return found


def accuracy(info: mar.MarInfo) -> float:
    assert info.training is not None
    return float(info.training["metrics"]["test_accuracy"])


@pytest.mark.slow
class TestStarters:
    def test_every_folder_is_trained_and_named_alike(self, starters: dict[str, Any]) -> None:
        assert sorted(starters) == names()
        for name, (info, _) in starters.items():
            assert info.spec == find(name).spec
            assert info.name == name

    def test_best_is_good_and_poor_is_poor(self, starters: dict[str, tuple[mar.MarInfo, Any]]) -> None:
        accuracies = {name: accuracy(info) for name, (info, _) in starters.items()}
        assert max(accuracies.values()) >= 0.97
        assert accuracies["mlp-tiny-lr"] < 0.5
        assert len(set(accuracies.values())) == len(accuracies)

    def test_recorded_accuracy_is_that_of_what_is_served(
        self, starters: dict[str, tuple[mar.MarInfo, Any]]
    ) -> None:
        held_out = Dataset().test
        for info, model in starters.values():
            answers = [model.predict({"image": part})["label"] for part in np.split(held_out.images, 20)]
            right = np.concatenate(answers).astype(int) == held_out.labels
            assert abs(right.mean() - accuracy(info)) <= 0.001

    @pytest.mark.parametrize("lines", [False, True])
    def test_photographs_with_a_shadow_are_read_by_the_best(
        self, starters: dict[str, tuple[mar.MarInfo, Any]], lines: bool
    ) -> None:
        _, best = max(starters.values(), key=lambda one: accuracy(one[0]))
        random = np.random.default_rng(7)
        held_out = Dataset().test
        photographs = np.empty(20, dtype=object)
        photographs[:] = [made.photographed(held_out.first(at % 10), random, lines=lines) for at in range(20)]
        read = best.predict({"image": photographs})["label"].astype(int)
        assert (read == np.arange(20) % 10).sum() >= 14

    def test_golden_pair_is_reproduced(self, starters: dict[str, tuple[mar.MarInfo, Any]]) -> None:
        for info, model in starters.values():
            assert info.golden is not None
            (sent,) = info.golden["request"]["inputs"]
            image = np.array(sent["data"], np.uint8).reshape(sent["shape"])
            answer = model.predict({"image": image})
            for tensor in info.golden["response"]["outputs"]:
                got = answer[tensor["name"]]
                assert list(got.shape) == tensor["shape"]
                if tensor["datatype"] == "FP32":
                    assert np.abs(got.reshape(-1) - tensor["data"]).max() < 1e-5
                else:
                    assert got.reshape(-1).tolist() == tensor["data"]

    def test_best_reads_every_example_image(self, starters: dict[str, tuple[mar.MarInfo, Any]]) -> None:
        best = max(starters.values(), key=lambda starter: accuracy(starter[0]))[1]
        images = np.empty(10, object)
        images[:] = [(EXAMPLES / f"digit-{label}.png").read_bytes() for label in range(10)]
        assert best.predict({"image": images})["label"].tolist() == list("0123456789")

    def test_archives_are_canonical_already(self, starter_mars: dict[str, Path], tmp_path: Path) -> None:
        for name, path in starter_mars.items():
            assert mar.rewrite(path, tmp_path / f"{name}.mar").sha256 == mar.sha256_of(path)
