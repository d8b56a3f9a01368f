"""The trainer: same seed, same bytes; nothing is done twice; what cannot be trained says why."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from digits import Digits
from experiments import Experiment, find, names
from learning import Learned, learn, settings
from serving_runtime.archive import mar


@pytest.fixture(autouse=True)
def _leave_torch_as_it_was() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def changed(experiment: Experiment, *, seed: int = 1, **parameters: float) -> Experiment:
    """The experiment with other parameters."""
    spec = dataclasses.replace(
        experiment.spec, seed=seed, parameters={**experiment.spec.parameters, **parameters}
    )
    return dataclasses.replace(experiment, spec=spec)


def trained(experiment: Experiment, data: Digits) -> Learned:
    return learn(experiment, data)


@pytest.fixture(scope="module")
def quick() -> Experiment:
    """The smallest network, for 6 steps."""
    return changed(find("mlp-baseline"), batch_size=32, epochs=2)


class TestLearn:
    @pytest.mark.parametrize("name", ["cnn-baseline", "mlp-baseline"])
    def test_same_seed_gives_the_same_bytes_whatever_was_drawn_before(self, name: str, few: Digits) -> None:
        experiment = changed(find(name), epochs=1)
        first = trained(experiment, few)
        torch.rand(1000)
        assert trained(experiment, few) == first

    def test_another_seed_gives_other_weights(self, quick: Experiment, few: Digits) -> None:
        assert trained(quick, few).weights != trained(changed(quick, seed=2), few).weights

    def test_curves_have_a_point_for_every_step(self, quick: Experiment, few: Digits) -> None:
        learned = trained(quick, few)
        assert learned.curves["loss"]["steps"] == [1, 2, 3, 4, 5, 6]
        assert learned.curves["accuracy"]["steps"] == [1, 2, 3, 4, 5, 6]
        assert learned.curves["test_accuracy"]["steps"] == [3, 6]
        assert learned.curves["test_accuracy"]["values"][-1] == learned.metrics["test_accuracy"]
        assert all(len(curve["steps"]) == len(curve["values"]) for curve in learned.curves.values())

    def test_learns(self, quick: Experiment, few: Digits) -> None:
        values = trained(changed(quick, epochs=20), few).curves["loss"]["values"]
        assert values[-1] < values[0] / 4

    def test_every_step_is_told(self, quick: Experiment, few: Digits) -> None:
        told: list[float] = []
        learned = learn(quick, few, told.append)
        assert told == pytest.approx(learned.curves["loss"]["values"], abs=1e-6)

    def test_loss_that_is_no_number_any_more_ends_the_training(
        self, quick: Experiment, few: Digits, tmp_path: Path
    ) -> None:
        exploding = tmp_path / "network.py"
        exploding.write_text(quick.network.read_text().replace("return logits", "return logits * 1e39"))
        with pytest.raises(ValueError, match="learn slower"):
            trained(dataclasses.replace(quick, network=exploding), few)

    @pytest.mark.parametrize(
        "parameters",
        [
            *[{"learning_rate": 0}, {"learning_rate": "fast"}, {"learning_rate": True}, {"momentum": 1}],
            *[{"batch_size": 0}, {"batch_size": 1.5}, {"epochs": 0}, {"shift": 5}, {"weight_decay": 0.1}],
        ],
    )
    def test_parameters_that_make_no_sense_are_named(
        self, parameters: dict[str, Any], quick: Experiment
    ) -> None:
        with pytest.raises(ValueError, match=next(iter(parameters))):
            settings(changed(quick, **parameters).spec)


class TestTrain:
    def test_writes_the_archive_and_its_records(self, quick: Experiment, few: Digits, tmp_path: Path) -> None:
        line = train.train(quick, few, tmp_path / "new" / "folder")
        folder = tmp_path / "new" / "folder"
        info = mar.inspect(folder / "mlp-baseline.mar")
        assert "40 held-out samples of" in line
        assert info.training == json.loads((folder / "training.json").read_text())
        assert info.golden == json.loads((folder / "golden.json").read_text())
        assert info.training is not None
        assert info.training["dataset"] == {
            "name": few.folder.name,
            "sha256": few.sha256,
            "train": 96,
            "test": 40,
        }

    def test_same_inputs_give_the_same_archive(self, quick: Experiment, few: Digits, tmp_path: Path) -> None:
        for name in "ab":
            train.train(quick, few, tmp_path / name)
        assert len({mar.sha256_of(archive) for archive in tmp_path.glob("*/*.mar")}) == 1

    def test_trains_again_only_when_told_or_when_something_has_changed(
        self, quick: Experiment, few: Digits, tmp_path: Path
    ) -> None:
        def runs(experiment: Experiment, *, force: bool = False) -> bool:
            return "nothing has changed" not in train.train(experiment, few, tmp_path, force=force)

        assert runs(quick)
        assert not runs(quick)
        assert runs(quick, force=True)
        assert runs(changed(quick, momentum=0.5))
        assert runs(quick)
        assert not runs(quick)

    def test_new_description_is_packed_without_training(
        self, quick: Experiment, few: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train.train(quick, few, tmp_path)
        monkeypatch.setattr("learning.learn", None)
        text = quick.spec_text.replace(b"One small hidden layer", b"A small one")
        train.train(dataclasses.replace(quick, spec_text=text), few, tmp_path)
        spec = mar.inspect(tmp_path / "mlp-baseline.mar").spec
        assert spec is not None
        assert spec.description == "A small one."

    @pytest.mark.parametrize("damage", [b"", b"PK"])
    def test_damaged_archive_is_made_anew(
        self, damage: bytes, quick: Experiment, few: Digits, tmp_path: Path
    ) -> None:
        train.train(quick, few, tmp_path)
        good = mar.sha256_of(tmp_path / "mlp-baseline.mar")
        (tmp_path / "mlp-baseline.mar").write_bytes(damage)
        train.train(quick, few, tmp_path)
        assert mar.sha256_of(tmp_path / "mlp-baseline.mar") == good


class TestCommand:
    def test_unknown_experiment_lists_the_known_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert train.main(["no-such-experiment"]) == 2
        assert "cnn-baseline" in capsys.readouterr().err

    def test_digits_come_first_and_each_is_told_with_its_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        doing: list[str] = []
        background = tmp_path / "training"

        def instead(experiment: Experiment, *_: Any, **__: Any) -> str:
            doing.append(background.read_text())
            return f"{experiment.spec.name}: trained"

        monkeypatch.setattr(train, "train", instead)
        monkeypatch.setattr("os.nice", lambda _: 0)
        assert train.main(["--all", "--out", str(tmp_path), "--background", str(background)]) == 0
        first = next(name for name in names() if not find(name).spec.dataset)
        assert doing[0] == f"training 1 of {len(names())}: {first}\n"
        assert bool(find(doing[-1].split()[-1]).spec.dataset)
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [f"training 1 of {len(names())}: {first}", f"{first}: trained"]
        assert [f"{line}\n" for line in lines[::2]] == doing

    def test_what_has_not_changed_is_neither_counted_nor_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = {"mlp-wide": "training", "wine-mlp": "packing"}
        monkeypatch.setattr(train, "_work", lambda one, *_: changed.get(one.spec.name, ""))
        monkeypatch.setattr(train, "train", lambda one, *_, **__: f"{one.spec.name}: done")
        assert train.main(["--all", "--out", str(tmp_path)]) == 0
        assert capsys.readouterr().out.splitlines() == [
            *["training 1 of 2: mlp-wide", "mlp-wide: done"],
            *["packing 2 of 2: wine-mlp", "wine-mlp: done"],
        ]

    @pytest.mark.parametrize("arguments", [[], ["cnn-baseline", "--all"]])
    def test_wants_names_or_all(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as end:
            train.main(arguments)
        assert end.value.code == 2
        assert "--all" in capsys.readouterr().err

    def test_spec_with_a_name_that_is_not_the_folders_is_rejected(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        text = find("cnn-baseline").spec_text
        (tmp_path / "mine" / "model.yaml").write_bytes(text)
        assert names(tmp_path) == ["mine"]
        with pytest.raises(ValueError, match="must be the folder's"):
            find("mine", tmp_path)
        (tmp_path / "mine" / "model.yaml").write_bytes(text.replace(b"cnn-baseline", b"mine"))
        with pytest.raises(ValueError, match=r"network\.py"):
            find("mine", tmp_path)
