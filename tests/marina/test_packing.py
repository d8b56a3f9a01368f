"""`marina pack`: from a model file and an example to an archive that has answered as the model does."""

import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from marina.packing import child, trial
from serving_runtime.archive import mar
from serving_runtime.packed import images, torch_model
from serving_runtime.packed.handler import Handler
from serving_runtime.packed.torch_model import network_of
from serving_runtime.starter.fastest import optimised
from tests.marina.conftest import Marina, Said

NETWORK = """
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.classes = nn.Linear(4, 3)

    def forward(self, images):
        return self.classes(torch.relu(self.convolution(images)).mean((2, 3)))
"""
TWO_RESULTS = """
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Linear(3, 3)

    def forward(self, rows):
        scores = self.scores(rows)
        return {"logits": scores, "label": scores.sum(1, keepdim=True)}
"""
Pack = Callable[..., Said]


class Lengths(nn.Module):
    """Texts as they are in, logits of short and long out, in a dict as networks of texts give them."""

    def forward(self, texts: list[str]) -> dict[str, torch.Tensor]:
        lengths = torch.tensor([float(len(text)) for text in texts])
        return {"logits": torch.stack([5 - lengths, lengths - 5], 1)}


@pytest.fixture
def pack(marina: Marina, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """Pack files of the test's folder; the model runs in this process, which has imported PyTorch already."""

    def here(python: str, request: dict[str, Any], *, seconds: float, **environment: str) -> dict[str, Any]:
        answer = tmp_path / "answer.json"
        with monkeypatch.context() as changed:
            for name, value in environment.items():
                changed.setenv(name, value)
            (tmp_path / "request.json").write_text(json.dumps({**request, "answer": str(answer)}))
            with (tmp_path / "request.json").open() as file:
                changed.setattr(sys, "stdin", file)
                assert trial.main() == 0
        found: dict[str, Any] = json.loads(answer.read_text())
        return found

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(child, "run", here)
    return lambda *arguments: marina("pack", *arguments)


@pytest.fixture
def network(tmp_path: Path) -> nn.Module:
    """A small network for colour images of any size, and its file."""
    (tmp_path / "network.py").write_text(NETWORK)
    torch.manual_seed(0)
    return network_of(tmp_path / "network.py").eval()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A colour image of 12 x 10 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def table(tmp_path: Path) -> nn.Module:
    """A network for rows of four numbers, saved as TorchScript."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).eval()
    torch.jit.script(made).save(str(tmp_path / "linear.pt"))
    return made


def spec(path: Path) -> dict[str, Any]:
    """The model spec of an archive."""
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = yaml.safe_load(archive.read("model.yaml"))
    return found


def golden(path: Path) -> Any:
    """The golden answer of an archive, by output."""
    found = mar.inspect(path).golden
    assert found
    return {one["name"]: one["data"] for one in found["response"]["outputs"]}


class TestFormats:
    def test_torchscript(self, pack: Pack, network: nn.Module, photo: Path, tmp_path: Path) -> None:
        torch.jit.script(network).save("photos_V1.pt")
        said = pack("photos_V1.pt", "--example", photo, "--labels", "cat,dog,owl")
        assert said.code == 0, said.err
        assert said.out.splitlines()[-1] == "next: marina push photos-v1.mar"
        found = spec(tmp_path / "photos-v1.mar")
        assert found["labels"] == ["cat", "dog", "owl"]
        assert found["inputs"][0]["accepts"] == ["UINT8", "FP32", "BYTES"]
        assert found["inputs"][0]["shape"] == [-1, 3, 10, 12]
        assert [one["kind"] for one in found["outputs"]] == ["probabilities", "label"]
        pixels = torch.from_numpy(np.asarray(Image.open(photo), np.float32) / 255).permute(2, 0, 1)[None]
        expected = torch.softmax(network(pixels), 1)[0].tolist()
        assert golden(tmp_path / "photos-v1.mar")["probabilities"] == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
    def test_weights_with_the_file_of_their_network(
        self, pack: Pack, network: nn.Module, photo: Path, tmp_path: Path, name: str
    ) -> None:
        save = save_file if name.endswith("safetensors") else torch.save
        save(network.state_dict(), name)
        said = pack(name, "-x", photo, "--network", "network.py", "--name", "mine", "-o", "out.mar")
        assert said.code == 0, said.err
        files = mar.inspect(tmp_path / "out.mar").files
        assert {"weights.safetensors", "network.py", "fastest.py", "golden.json"} <= set(files)
        assert spec(tmp_path / "out.mar")["outputs"][0]["kind"] == "tensor"

    @pytest.mark.parametrize(
        ("module", "code", "words"),
        [("torchvision", 1, "NAME=vision"), ("no_such_module", 2, "no_such_module")],
    )
    def test_what_the_network_s_file_imports_decides_the_environment(
        self,
        pack: Pack,
        network: nn.Module,
        photo: Path,
        monkeypatch: pytest.MonkeyPatch,
        module: str,
        code: int,
        words: str,
    ) -> None:
        monkeypatch.setattr(sys, "prefix", "/nothing-is-built-here")
        save_file(network.state_dict(), "weights.safetensors")
        Path("other.py").write_text(f"import {module}\n{NETWORK}")
        pack("weights.safetensors", "-x", photo, "--network", "other.py").failed(code, words)

    @pytest.mark.long
    def test_an_exported_program(self, pack: Pack, table: nn.Module, tmp_path: Path) -> None:
        rows = torch.export.Dim("rows", min=1, max=64)
        program = torch.export.export(table, (torch.zeros(2, 4),), dynamic_shapes=({0: rows},))
        torch.export.save(program, "linear.pt2")
        np.save("row.npy", np.ones(4))
        assert pack("linear.pt2", "-x", "row.npy").code == 0
        number = table(torch.ones(1, 4)).item()
        assert golden(tmp_path / "linear.mar")["number"] == [pytest.approx(number, abs=1e-5)]

    @pytest.mark.long
    def test_one_that_takes_texts(self, pack: Pack, tmp_path: Path) -> None:
        torch.jit.script(Lengths()).save("lengths.pt")
        Path("text.txt").write_text("größer\n")
        said = pack("lengths.pt", "-x", "text.txt", "--labels", "short,long")
        assert said.code == 0, said.err
        declared = spec(tmp_path / "lengths.mar")
        assert declared["inputs"][0]["kind"] == "text"
        assert declared["inputs"][0]["example"] == "größer"
        assert golden(tmp_path / "lengths.mar")["label"] == ["long"]

    def test_one_that_was_exported_for_one_row_is_called_row_by_row(
        self, pack: Pack, table: nn.Module, tmp_path: Path
    ) -> None:
        torch.export.save(torch.export.export(table, (torch.zeros(1, 4),)), "linear.pt2")
        np.save("row.npy", np.ones(4))
        said = pack("linear.pt2", "-x", "row.npy")
        assert "takes one row at a time" in said.out

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("model.pkl", ["skops.io.dump", "safetensors"]),
            ("model.pt", ["torch.jit.script", "safetensors"]),
            ("model.joblib", ["scikit-learn", "skops.io.dump"]),
        ],
    )
    def test_a_pickle_is_rejected_with_the_safe_way(
        self, pack: Pack, tmp_path: Path, name: str, words: list[str]
    ) -> None:
        np.save("row.npy", np.ones(4))
        Path(name).write_bytes(pickle.dumps({"weights": Path("code that runs")}))
        Path("network.py").write_text(NETWORK)
        said = pack(name, "-x", "row.npy", *(("--network", "network.py") if name.endswith("pt") else ()))
        said.failed(2, "pickle", *words)
        assert not list(tmp_path.glob("*.mar"))

    def test_a_whole_model_is_said_to_be_one_before_a_network_is_asked_for(
        self, pack: Pack, table: nn.Module
    ) -> None:
        torch.save(table, "whole.pt")
        np.save("row.npy", np.ones(4))
        pack("whole.pt", "-x", "row.npy").failed(
            2, "is a whole model", "container.Sequential", "torch.jit.script"
        )

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("class Network(", "class Net(", ["no class Network, but Net: write Network = Net at its end"]),
            ("__init__(self)", "__init__(self, classes)", ["Network() needs classes", "a default value"]),
            ("self.classes", "self.head", ["not those of the class Network", "head.weight is missing"]),
        ],
    )
    def test_a_network_that_the_weights_do_not_fit_is_said_with_the_cause(
        self, pack: Pack, network: nn.Module, photo: Path, old: str, new: str, words: list[str]
    ) -> None:
        save_file(network.state_dict(), "weights.safetensors")
        Path("other.py").write_text(NETWORK.replace(old, new))
        pack("weights.safetensors", "-x", photo, "--network", "other.py").failed(1, *words)


class TestSignature:
    def test_numbers_of_an_array(self, pack: Pack, table: nn.Module, tmp_path: Path) -> None:
        np.save("row.npy", np.ones(4))
        assert pack("linear.pt", "-x", "row.npy", "--unit", "mg", "--task", "doses").code == 0
        found = spec(tmp_path / "linear.mar")
        assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4], "kind": "tensor"}]
        assert found["outputs"] == [
            {"name": "number", "datatype": "FP32", "shape": [-1, 1], "kind": "number", "unit": "mg"}
        ]
        assert found["task"] == "doses"

    def test_a_row_of_a_table(self, pack: Pack, table: nn.Module, tmp_path: Path) -> None:
        Path("row.csv").write_text("age;height;sex;note\n31;1.7;f;0\n40;1.9;m;1\n")
        assert pack("linear.pt", "-x", "row.csv").code == 0
        assert spec(tmp_path / "linear.mar")["inputs"][0]["columns"][0] == {"name": "age", "example": 31.0}
        assert pack("linear.pt", "-x", "row.csv", "--ranges").code == 0
        columns = spec(tmp_path / "linear.mar")["inputs"][0]["columns"]
        assert columns[0] == {"name": "age", "example": 31.0, "minimum": 31.0, "maximum": 40.0}
        assert columns[2] == {"name": "sex", "categories": ["f", "m"], "example": "f"}

    def test_whole_numbers_in_json_may_be_meant_as_floats(
        self, pack: Pack, table: nn.Module, tmp_path: Path
    ) -> None:
        Path("row.json").write_text("[[1, 2, 3, 4]]")
        assert pack("linear.pt", "-x", "row.json").code == 0
        assert spec(tmp_path / "linear.mar")["inputs"][0]["shape"] == [-1, 4]

    def test_whether_there_is_a_batch_is_asked_when_both_can_be(
        self, pack: Pack, table: nn.Module, tmp_path: Path
    ) -> None:
        np.save("rows.npy", np.ones((3, 4)))
        pack("linear.pt", "-x", "rows.npy").failed(2, "--batch first or none")
        assert pack("linear.pt", "-x", "rows.npy", "--batch", "first").code == 0
        assert spec(tmp_path / "linear.mar")["inputs"][0]["shape"] == [-1, 4]

    def test_labels_of_another_number(self, pack: Pack, table: nn.Module, tmp_path: Path) -> None:
        np.save("row.npy", np.ones(4))
        pack("linear.pt", "-x", "row.npy", "--labels", "a,b").failed(2, "1 values", "2 labels")

    def test_of_several_results_the_one_that_fits_has_the_classes(self, pack: Pack, tmp_path: Path) -> None:
        Path("network.py").write_text(TWO_RESULTS)
        save_file({"scores.weight": torch.eye(3), "scores.bias": torch.zeros(3)}, "two.safetensors")
        np.save("row.npy", np.array([0, 0, 9]))
        network = ("--network", "network.py")
        assert pack("two.safetensors", "-x", "row.npy", *network, "--labels", "a,b,c").code == 0
        outputs = spec(tmp_path / "two.mar")["outputs"]
        assert [(one["name"], one["kind"]) for one in outputs] == [
            ("probabilities", "probabilities"),
            ("label", "label"),
            ("model_label", "tensor"),
        ]
        golden = mar.inspect(tmp_path / "two.mar").golden
        assert golden
        found = {one["name"]: one["data"] for one in golden["response"]["outputs"]}
        assert found["label"] == ["c"]
        assert sum(found["probabilities"]) == pytest.approx(1)
        assert found["model_label"] == [9]
        pack("two.safetensors", "-x", "row.npy", *network, "--labels", "a,b").failed(
            2, "of the 2 results", "none have a number for each of 2 labels"
        )

    def test_an_example_that_the_model_does_not_take(
        self, pack: Pack, table: nn.Module, tmp_path: Path
    ) -> None:
        np.save("row.npy", np.ones(5))
        pack("linear.pt", "-x", "row.npy").failed(
            1, "does not take the example", "FP32 [5]", "shape and type"
        )
        assert not list(tmp_path.glob("*.mar"))

    def test_the_size_that_a_network_takes_is_found_when_the_photo_has_another(
        self, pack: Pack, photo: Path, tmp_path: Path
    ) -> None:
        fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)).eval()
        torch.jit.script(fixed).save("fixed.pt")
        pack("fixed.pt", "-x", photo).failed(1, "an image of 12x10 pixels: it takes 64x64: add --size 64x64")
        assert pack("fixed.pt", "-x", photo, "--size", "64x64").code == 0

    def test_a_network_that_takes_no_texts_needs_a_tokenizer(self, pack: Pack, table: nn.Module) -> None:
        Path("text.txt").write_text("so it is")
        pack("linear.pt", "-x", "text.txt").failed(1, "--tokenizer tokenizer.json")

    def test_a_tokenizer_that_is_none_or_of_no_use(self, pack: Pack, table: nn.Module) -> None:
        Path("text.txt").write_text("so it is")
        Path("row.json").write_text("[[1, 2, 3, 4]]")
        Path("other.json").write_text("{}")
        pack("linear.pt", "-x", "text.txt", "--tokenizer", "other.json").failed(2, "save_pretrained")
        pack("linear.pt", "-x", "text.txt", "--tokenizer", "none.json").failed(2, "cannot be read")
        pack("linear.pt", "-x", "row.json", "--tokenizer", "other.json").failed(2, "for texts")


class TestServed:
    def test_an_image_file_of_another_size_and_pixels_are_taken_alike(
        self, pack: Pack, network: nn.Module, photo: Path, tmp_path: Path
    ) -> None:
        torch.jit.script(network).save("photos.pt")
        pack("photos.pt", "-x", photo, "--labels", "cat,dog,owl", "--mean", "0.5,0.4,0.3", "--std", "0.2")
        handler = loaded(tmp_path / "photos.mar", tmp_path / "unpacked")
        large = Image.open(photo).resize((24, 20), Image.Resampling.NEAREST)
        large.save(tmp_path / "large.png")
        file = np.empty(1, dtype=object)
        file[0] = (tmp_path / "large.png").read_bytes()
        found = handler.predict({"image": file}, return_preprocessed=True)
        assert found["preprocessed"].shape == (1, 10, 12, 3)
        pixels = found["preprocessed"].transpose(0, 3, 1, 2)
        again = handler.predict({"image": np.concatenate([pixels, pixels])})
        assert again["probabilities"] == pytest.approx(np.repeat(found["probabilities"], 2, 0), abs=1e-4)
        assert list(again["label"]) == list(found["label"]) * 2

    def test_a_png_of_16_bits_is_as_bright_as_one_of_8(self, tmp_path: Path) -> None:
        levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
        files = np.empty(2, dtype=object)
        for at, image in enumerate((Image.fromarray(levels.astype(np.uint8)), Image.fromarray(levels * 257))):
            image.save(tmp_path / f"{at}.png")
            files[at] = (tmp_path / f"{at}.png").read_bytes()
        facts = {"width": 16, "height": 16, "channels": 1, "layout": "HW", "mean": [0.0], "std": [1.0]}
        eight, sixteen = images.prepare(files, facts)
        assert sixteen == pytest.approx(eight, abs=1 / 255)

    def test_a_file_that_is_no_image_is_the_requests_fault(
        self, pack: Pack, network: nn.Module, photo: Path, tmp_path: Path
    ) -> None:
        torch.jit.script(network).save("photos.pt")
        pack("photos.pt", "-x", photo)
        handler = loaded(tmp_path / "photos.mar", tmp_path / "unpacked")
        with pytest.raises(ValueError, match="PNG or JPEG"):
            handler.predict({"image": np.array([b"text"], dtype=object)})

    @pytest.mark.parametrize(
        ("runs_of_all", "runs_of_one", "sizes"), [(0, 0, (1, 4, 16)), (1e12, 0, (1,)), (1e12, 1e12, None)]
    )
    def test_what_takes_long_to_measure_is_measured_with_one_row_or_not_at_all(
        self,
        pack: Pack,
        table: nn.Module,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        runs_of_all: float,
        runs_of_one: float,
        sizes: object,
    ) -> None:
        np.save("row.npy", np.ones(4))
        pack("linear.pt", "-x", "row.npy")
        monkeypatch.setenv("SERVING_TORCH_THREADS", "1")
        monkeypatch.setattr(torch_model, "RUNS_OF_ALL", runs_of_all)
        monkeypatch.setattr(torch_model, "RUNS_OF_ONE", runs_of_one)
        measured: list[object] = []

        def measure(network: nn.Module, row: torch.Tensor, sizes: tuple[int, ...]) -> list[nn.Module]:
            measured.append(sizes)
            return optimised(network, row, sizes)

        monkeypatch.setattr(torch_model, "optimised", measure)
        handler = loaded(tmp_path / "linear.mar", tmp_path / "unpacked")
        assert measured == ([sizes] if sizes else [])
        rows = np.random.default_rng(0).random((5, 4), np.float32)
        with torch.inference_mode():
            expected = table(torch.from_numpy(rows)).numpy()
        assert handler.predict({"input": rows})["number"] == pytest.approx(expected, abs=1e-5)


def loaded(archive: Path, folder: Path) -> Any:
    """The handler of an archive."""
    mar.unpack(archive, folder)
    handler = Handler()
    handler.initialize(SimpleNamespace(system_properties={"model_dir": str(folder)}, manifest=None))
    return handler


@pytest.mark.long  # the way in the README does it in every run
def test_the_model_runs_in_processes_of_its_own(
    marina: Marina, table: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("row.npy", np.ones(4))
    said = marina("pack", "linear.pt", "-x", "row.npy", "--json")
    assert said.code == 0, said.err
    assert said.json["inputs"][0]["shape"] == [-1, 4]
    assert mar.inspect(tmp_path / "linear.mar").spec


def test_one_that_hangs_is_given_up(marina: Marina, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("row.npy", np.ones(4))
    save_file({"weight": torch.ones(1)}, "weights.safetensors")
    Path("network.py").write_text("import time\ntime.sleep(60)\n")
    said = marina("pack", "weights.safetensors", "-x", "row.npy", "--network", "network.py", "--timeout", 1)
    assert said.code == 1
    assert "did not answer within 1 s: allow more by --timeout" in said.err
