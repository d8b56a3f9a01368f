"""`marina pack` with the packages of the environment `sklearn`: scikit-learn's models by skops, and ONNX."""

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from serving_runtime.archive import mar
from tests.conftest import ROOT
from tests.marina.conftest import Marina

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
MODELS = """
import numpy, pandas, skops.io
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_wine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

wine = load_wine(as_frame=True)
names = wine.target_names[wine.target]
skops.io.dump(make_pipeline(StandardScaler(), LogisticRegression()).fit(wine.data, names), "wine.skops")
skops.io.dump(make_pipeline(StandardScaler(), LinearSVC()).fit(wine.data, wine.target), "svc.skops")
wine.data.assign(kind=names)[::20].to_csv("wine.csv", index=False)
prices = pandas.DataFrame({"size": [1.0, 2, 3, 4], "color": ["red", "blue", "red", "green"]})
prices.to_csv("prices.csv", index=False)
columns = make_column_transformer((OneHotEncoder(), ["color"]), remainder="passthrough")
skops.io.dump(make_pipeline(columns, LinearRegression()).fit(prices, [1.0, 3, 3, 7]), "prices.skops")
people = pandas.DataFrame({"age": [20.0, None, 40, 60], "city": ["Oslo", "Rome", None, "Rome"], "size": [1.5, 2, 3, 4]})
people.to_csv("people.csv", index=False)
numbers = make_pipeline(SimpleImputer(), StandardScaler())
words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
columns = make_column_transformer((numbers, ["age", "size"]), (words, ["city"]))
gaps = make_pipeline(columns, LogisticRegression()).fit(people, ["no", "no", "yes", "yes"])
skops.io.dump(gaps, "people.skops")
texts = make_pipeline(TfidfVectorizer(), LogisticRegression())
skops.io.dump(texts.fit(["good day", "bad day"], ["fine", "poor"]), "texts.skops")
strange = make_pipeline(FunctionTransformer(numpy.frexp), LinearRegression())
skops.io.dump(FunctionTransformer(eval), "strange.skops")
"""


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python of the environment, built if it is not there."""
    builder = [sys.executable, "serving/build_environment.py", "--uv", ".venv/bin/uv", "sklearn"]
    python = Path(sys.prefix) / "environments" / "sklearn" / "bin" / "python"
    if not python.exists():
        subprocess.run(builder, cwd=ROOT, check=True, timeout=600)
    return python


@pytest.fixture(scope="module")
def folder(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of scikit-learn, and tables for them."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([python, "-c", MODELS], cwd=folder, check=True, timeout=300)
    return folder


@pytest.fixture
def pack(marina: Marina, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pack a file of that folder; the model spec and the golden answer."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
        said = marina("pack", *arguments, "-o", "packed.mar")
        assert said.code == 0, said.err
        info = mar.inspect(folder / "packed.mar")
        assert info.golden
        files = folder / f"unpacked-{info.sha256}"
        mar.unpack(folder / "packed.mar", files)
        outputs = {one["name"]: one["data"] for one in info.golden["response"]["outputs"]}
        return yaml.safe_load((files / "model.yaml").read_text()), outputs

    return run


def test_a_classifier_takes_the_columns_that_it_was_trained_on(pack: Any) -> None:
    spec, golden = pack("wine.skops", "-x", "wine.csv")
    assert spec["environment"] == "sklearn"
    assert spec["labels"] == ["class_0", "class_1", "class_2"]
    assert [column["name"] for column in spec["inputs"][0]["columns"]][-1] == "proline"
    assert "kind" not in {column["name"] for column in spec["inputs"][0]["columns"]}
    assert golden["label"] == ["class_0"]
    assert sum(golden["probabilities"]) == pytest.approx(1)


def test_one_without_probabilities_gives_the_label(pack: Any) -> None:
    spec, golden = pack("svc.skops", "-x", "wine.csv", "--labels", "first,second,third")
    assert [one["kind"] for one in spec["outputs"]] == ["label"]
    assert golden == {"label": ["first"]}


def test_a_category_travels_as_its_index(pack: Any) -> None:
    spec, golden = pack("prices.skops", "-x", "prices.csv", "--unit", "EUR")
    assert spec["inputs"][0]["columns"][1]["categories"] == ["blue", "green", "red"]
    assert spec["outputs"][0]["unit"] == "EUR"
    assert golden["number"] == [pytest.approx(1, abs=0.5)]


def test_values_that_the_example_lacks_may_be_missing(pack: Any) -> None:
    spec, golden = pack("people.skops", "-x", "people.csv")
    table = spec["inputs"][0]
    assert (table["datatype"], table["shape"]) == ("BYTES", [-1, 3])
    assert table["columns"] == [
        {"name": "age", "optional": True, "example": "20"},
        {"name": "city", "optional": True, "categories": ["Oslo", "Rome"], "example": "Oslo"},
        {"name": "size", "example": "1.5"},
    ]
    assert golden["label"] == ["no"]


def test_a_text_is_classified(pack: Any, folder: Path) -> None:
    (folder / "text.txt").write_text("what a good thing\n")
    spec, golden = pack("texts.skops", "-x", "text.txt")
    assert spec["inputs"][0]["kind"] == "text"
    assert golden["label"] == ["fine"]


def test_types_that_skops_does_not_trust_are_named(marina: Marina, folder: Path, pack: Any) -> None:
    marina("pack", "strange.skops", "-x", "wine.csv").failed(1, "--trust builtins.eval")


def test_onnx(pack: Any, folder: Path) -> None:
    (folder / "sum.onnx").write_bytes(onnx_of_a_product(4, 3))
    np.save(folder / "row.npy", np.array([1, 2, 3, 4], np.float32))
    spec, golden = pack("sum.onnx", "-x", "row.npy", "--labels", "a,b,c")
    assert spec["environment"] == "sklearn"
    assert golden["probabilities"] == pytest.approx([1 / 3] * 3)


def test_arrays_go_to_the_inputs_of_onnx_that_have_their_names(pack: Any, folder: Path) -> None:
    (folder / "difference.onnx").write_bytes(onnx_of_a_difference(b"more", b"less"))
    less, more = np.array([[1, 1]], np.float32), np.array([[5, 7]], np.float32)
    np.savez(folder / "both.npz", less=less, more=more)
    spec, golden = pack("difference.onnx", "-x", "both.npz")
    assert [one["name"] for one in spec["inputs"]] == ["less", "more"]
    assert golden == {"output": [4, 6]}
    np.savez(folder / "others.npz", first=more, second=less)
    assert pack("difference.onnx", "-x", "others.npz")[1] == {"output": [4, 6]}


def onnx_of_a_product(rows: int, columns: int) -> bytes:
    """ONNX's protocol buffers of `y = x @ ones`, for any number of rows of x."""
    ones = field(1, rows) + field(1, columns) + field(2, 1) + field(8, b"w")
    ones += field(9, struct.pack("<f", 1.0) * (rows * columns))
    node = field(1, b"x") + field(1, b"w") + field(2, b"y") + field(4, b"MatMul")
    graph = field(1, node) + field(2, b"g") + field(5, ones)
    return onnx(graph + field(11, tensor_info(b"x", rows)) + field(12, tensor_info(b"y", columns)))


def onnx_of_a_difference(first: bytes, second: bytes) -> bytes:
    """The same of `y = first - second`, of two numbers a row."""
    node = field(1, first) + field(1, second) + field(2, b"y") + field(4, b"Sub")
    graph = (
        field(1, node) + field(2, b"g") + field(11, tensor_info(first, 2)) + field(11, tensor_info(second, 2))
    )
    return onnx(graph + field(12, tensor_info(b"y", 2)))


def onnx(graph: bytes) -> bytes:
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13))


def tensor_info(name: bytes, columns: int) -> bytes:
    """FP32 of any number of rows."""
    shape = field(1, field(2, b"n")) + field(1, field(1, columns))
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    parts = b""
    while value > 127:
        parts, value = parts + bytes([value & 127 | 128]), value >> 7
    return parts + bytes([value])
