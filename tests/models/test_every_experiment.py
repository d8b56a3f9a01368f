"""Every folder of models/ is an experiment that trains; the trained starters are as good as they should be."""

import dataclasses
import importlib
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load

import datasets
import shapes
from datasets import Dataset, Samples
from digits import EXAMPLES, Digits, digits, request, write_examples
from experiments import Experiment, find, names
from learning import Learned, learn, settings
from serving_runtime.archive import interface, mar
from serving_runtime.starter.predictor import load_network
from tests.models import made

OF_DIGITS = [name for name in names() if not find(name).spec.dataset]
OF_OTHERS = [name for name in names() if find(name).spec.dataset]


def answers(experiment: Experiment, learned: Learned, data: Dataset, samples: Samples) -> np.ndarray:
    """What the weights that were learned answer, in a network that loads them anew."""
    network = load_network(experiment.network)
    network.load_state_dict(load(learned.weights))
    with torch.inference_mode():
        found: np.ndarray = network.eval()(torch.from_numpy(data.to_network(samples.inputs))).numpy()
    return found


class TestFolders:
    def test_there_are_at_least_five_of_digits_and_two_of_each_other_kind(self) -> None:
        assert {name.partition("-")[0] for name in OF_DIGITS} == {"cnn", "mlp"}
        assert len(OF_DIGITS) >= 5
        tasks: dict[tuple[str, str], set[str]] = {}
        for name in names():
            spec = find(name).spec
            taken = interface.of_archive(spec)
            answer = "classes" if spec.labels else taken.outputs[0].kind
            tasks.setdefault((taken.inputs[0].kind, answer), set()).add(taken.task)
            assert len([other for other in names() if find(other).spec.dataset == spec.dataset]) >= 2
        assert {key: len(found) for key, found in tasks.items()} == {
            ("image", "classes"): 2,
            ("table", "classes"): 1,
            ("table", "number"): 1,
            ("text", "classes"): 1,
        }
        assert set.union(*tasks.values()) == {"digits", "shapes", "wine", "diabetes", "language"}

    def test_learning_rates_and_momenta_differ(self) -> None:
        found = [settings(find(name).spec) for name in names()]
        assert len({item.learning_rate for item in found}) >= 3
        assert len({item.momentum for item in found}) >= 3

    @pytest.mark.parametrize("name", names())
    def test_spec_is_valid_and_a_few_steps_of_training_work(
        self, name: str, few: Digits, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shapes, "TRAIN", 90)
        monkeypatch.setattr(shapes, "TEST", 30)
        experiment = find(name)
        data: Dataset = {"": few, "shapes": shapes.Shapes()}.get(experiment.spec.dataset) or datasets.find(
            experiment.spec
        )
        spec = dataclasses.replace(experiment.spec, parameters={**experiment.spec.parameters, "epochs": 1})
        threads = torch.get_num_threads()
        experiment = dataclasses.replace(experiment, spec=spec)
        learned = learn(experiment, data)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        assert len(learned.curves["loss"]["values"]) == -(-len(data.train) // settings(spec).batch_size)
        found = answers(experiment, learned, data, data.test)
        if spec.labels:
            right = float((found.argmax(1) == data.test.targets).mean())
            assert learned.metrics["test_accuracy"] == pytest.approx(right, abs=1e-6)
            assert found.shape == (len(data.test), len(spec.labels))
        else:
            off = float(np.abs(found[:, 0] - data.test.targets).mean())
            assert learned.metrics["test_mean_absolute_error"] == pytest.approx(off, rel=1e-4)

    @pytest.mark.parametrize("name", OF_DIGITS)
    def test_labels_of_digits_are_the_digits(self, name: str) -> None:
        assert find(name).spec.labels == tuple("0123456789")

    def test_data_set_that_is_not_there_is_named(self) -> None:
        spec = dataclasses.replace(find("wine-mlp").spec, dataset="beer")
        with pytest.raises(ValueError, match="no data set 'beer'"):
            datasets.find(spec)

    def test_shapes_are_drawn_alike_each_time(self) -> None:
        one, other = (shapes.made(12, seed=3) for _ in range(2))
        assert np.array_equal(one.inputs, other.inputs)
        assert one.targets.tolist() == [*range(6), *range(6)]
        assert find("shapes-cnn").spec.labels == shapes.LABELS

    @pytest.mark.parametrize("name", [name for name in OF_OTHERS if name.startswith(("wine", "diabetes"))])
    def test_columns_of_a_table_are_those_of_its_file_and_hold_its_values(self, name: str) -> None:
        spec = find(name).spec
        data = datasets.find(spec)
        assert isinstance(data, datasets.Table)
        header = data.file.read_text().partition("\n")[0].split(",")
        columns = spec.inputs[0].columns
        assert [column.name for column in columns] == header[:-1]
        rows = np.concatenate([data.train.inputs, data.test.inputs])
        for column, values in zip(columns, rows.T, strict=True):
            least = 0 if column.categories else column.minimum
            most = len(column.categories) - 1 if column.categories else column.maximum
            assert least is not None
            assert most is not None
            assert least <= values.min() <= values.max() <= most

    def test_cnn_has_the_weights_that_comparisons_assume(self) -> None:
        network = load_network(find("cnn-baseline").network)
        assert sum(weight.numel() for weight in network.parameters()) == 1_199_882


class TestExamples:
    def test_are_held_out_digits_one_of_each_class(self) -> None:
        held_out = digits().test
        for label in range(10):
            image = np.asarray(Image.open(EXAMPLES / f"digit-{label}.png"))
            assert np.array_equal(image, held_out.first(label))

    def test_request_is_that_of_the_five(self, tmp_path: Path) -> None:
        assert json.loads((EXAMPLES / "five.json").read_text()) == request(digits().test.first(5))
        write_examples(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {path.name for path in EXAMPLES.iterdir()}

    def test_data_are_eight_thousand_to_train_and_two_thousand_held_out(self) -> None:
        data = digits()
        assert (len(data.train), len(data.test)) == (8000, 2000)
        held_out = {image.tobytes() for image in data.test.inputs}
        assert not any(image.tobytes() in held_out for image in data.train.inputs)


@pytest.fixture(scope="module")
def starters(
    starter_mars: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[mar.MarInfo, Any]]:
    """Each trained starter: what its archive says, and a handler like that in it, loaded."""
    found: dict[str, tuple[mar.MarInfo, Any]] = {}
    for name, path in starter_mars.items():
        folder = tmp_path_factory.mktemp("starters") / name
        info = mar.unpack(path, folder)
        handler = importlib.import_module(f"serving_runtime.starter.{Path(info.handler).stem}")
        model = handler.Handler()
        model.initialize(
            SimpleNamespace(system_properties={"model_dir": str(folder)}, manifest=info.manifest)
        )
        found[name] = info, model
    return found


@pytest.fixture(scope="module")
def of_digits(starters: dict[str, tuple[mar.MarInfo, Any]]) -> dict[str, tuple[mar.MarInfo, Any]]:
    """Those of digits."""
    return {name: starters[name] for name in OF_DIGITS}


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

    def test_best_is_good_and_poor_is_poor(self, of_digits: dict[str, tuple[mar.MarInfo, Any]]) -> None:
        accuracies = {name: accuracy(info) for name, (info, _) in of_digits.items()}
        assert max(accuracies.values()) >= 0.97
        assert accuracies["mlp-tiny-lr"] < 0.5
        assert len(set(accuracies.values())) == len(accuracies)

    def test_recorded_accuracy_is_that_of_what_is_served(
        self, of_digits: dict[str, tuple[mar.MarInfo, Any]]
    ) -> None:
        held_out = digits().test
        for info, model in of_digits.values():
            answers = [model.predict({"image": part})["label"] for part in np.split(held_out.inputs, 20)]
            right = np.concatenate(answers).astype(int) == held_out.targets
            assert abs(right.mean() - accuracy(info)) <= 0.001

    @pytest.mark.parametrize("lines", [False, True])
    def test_photographs_with_a_shadow_are_read_by_the_best(
        self, of_digits: dict[str, tuple[mar.MarInfo, Any]], lines: bool
    ) -> None:
        _, best = max(of_digits.values(), key=lambda one: accuracy(one[0]))
        random = np.random.default_rng(7)
        held_out = digits().test
        photographs = np.empty(20, dtype=object)
        photographs[:] = [made.photographed(held_out.first(at % 10), random, lines=lines) for at in range(20)]
        read = best.predict({"image": photographs})["label"].astype(int)
        assert (read == np.arange(20) % 10).sum() >= 14

    def test_golden_pair_is_reproduced(self, starters: dict[str, tuple[mar.MarInfo, Any]]) -> None:
        for info, model in starters.values():
            assert info.golden is not None
            (sent,) = info.golden["request"]["inputs"]
            kinds = {"UINT8": np.uint8, "FP32": np.float32, "BYTES": object}
            values = [item.encode() for item in sent["data"]] if sent["datatype"] == "BYTES" else sent["data"]
            answer = model.predict(
                {sent["name"]: np.array(values, kinds[sent["datatype"]]).reshape(sent["shape"])}
            )
            for tensor in info.golden["response"]["outputs"]:
                got = answer[tensor["name"]]
                assert list(got.shape) == tensor["shape"]
                if tensor["datatype"] == "FP32":
                    assert np.allclose(got.reshape(-1), tensor["data"], rtol=1e-5, atol=1e-5)
                else:
                    assert got.reshape(-1).tolist() == tensor["data"]

    def test_others_have_learned_what_their_networks_can(
        self, starters: dict[str, tuple[mar.MarInfo, Any]]
    ) -> None:
        least = {"shapes-cnn": 0.8, "wine-mlp": 0.95, "language-cnn": 0.6, "language-trigrams": 0.55}
        for name, (info, _) in starters.items():
            if name in least:
                assert accuracy(info) >= least[name], name
        assert accuracy(starters["shapes-mlp"][0]) < accuracy(starters["shapes-cnn"][0])
        off = [
            (starters[name][0].training or {})["metrics"]["test_mean_absolute_error"]
            for name in ("diabetes-linear", "diabetes-mlp")
        ]
        assert max(off) < 60
        assert not math.isclose(*off)

    def test_best_reads_every_example_image(self, of_digits: dict[str, tuple[mar.MarInfo, Any]]) -> None:
        best = max(of_digits.values(), key=lambda starter: accuracy(starter[0]))[1]
        images = np.empty(10, object)
        images[:] = [(EXAMPLES / f"digit-{label}.png").read_bytes() for label in range(10)]
        assert best.predict({"image": images})["label"].tolist() == list("0123456789")

    def test_archives_are_canonical_already(self, starter_mars: dict[str, Path], tmp_path: Path) -> None:
        for name, path in starter_mars.items():
            assert mar.rewrite(path, tmp_path / f"{name}.mar").sha256 == mar.sha256_of(path)
