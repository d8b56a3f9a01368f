"""What is told of TorchServe's own handlers, and of classes that derive from them, without running them."""

import collections
import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from serving_runtime.archive import mar, stock_handlers
from serving_runtime.archive.manifest import TORCHSERVE_HANDLERS

DERIVED = "from ts.torch_handler.image_classifier import ImageClassifier\nclass Mine(ImageClassifier):\n    topk = 3\n"


def kinds(source: str) -> tuple[str, str] | None:
    found = stock_handlers.of("handler.py", source.encode())
    return None if found is None else (found.input_kind, found.output_kind)


class TestNamedHandlers:
    @pytest.mark.parametrize(
        ("name", "kinds"),
        [
            ("image_classifier", ("image", "probabilities")),
            ("image_segmenter", ("image", "raw")),
            ("object_detector", ("image", "boxes")),
            ("text_classifier", ("text", "probabilities")),
            ("base_handler", ("raw", "raw")),
        ],
    )
    def test_tell_what_they_take_and_give(self, name: str, kinds: tuple[str, str]) -> None:
        found = stock_handlers.of(name, None)
        assert found is not None
        assert (found.input_kind, found.output_kind) == kinds

    def test_are_all_known(self) -> None:
        assert set(TORCHSERVE_HANDLERS) <= set(stock_handlers.STOCK)

    def test_a_name_of_no_handler_tells_nothing(self) -> None:
        assert stock_handlers.of("dali_image_classifier", None) is None


class TestDerivedClasses:
    @pytest.mark.parametrize(
        "source",
        [
            DERIVED,
            "import ts.torch_handler.image_classifier as stock\nclass Mine(stock.ImageClassifier): pass\n",
            "import ts.torch_handler.image_classifier\n"
            "class Mine(ts.torch_handler.image_classifier.ImageClassifier): pass\n",
            "from ts.torch_handler import image_classifier\nclass Mine(image_classifier.ImageClassifier): pass\n",
            "from ts.torch_handler.image_classifier import ImageClassifier as Base\nclass Mine(Base): pass\n",
        ],
    )
    def test_take_and_give_what_their_base_does_however_it_is_imported(self, source: str) -> None:
        assert kinds(source) == ("image", "probabilities")

    def test_that_answer_in_their_own_way_are_raw(self) -> None:
        assert kinds(DERIVED + "    def postprocess(self, data): return data\n") == ("image", "raw")
        assert kinds(DERIVED + "    def preprocess(self, data): return data\n") == ("raw", "probabilities")
        assert kinds(DERIVED + "    def handle(self, data, context): return data\n") == ("raw", "raw")

    @pytest.mark.parametrize(
        "source",
        [
            "class Mine: pass",
            "class ImageClassifier: pass\nclass Mine(ImageClassifier): pass",
            "def (",
            "\0",
            DERIVED * 2,
        ],
    )
    def test_code_that_tells_nothing_is_nothing(self, source: str) -> None:
        assert kinds(source) is None


class TestVocabularies:
    def test_of_torchtext_are_rejected_with_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = ModuleType("torchtext.vocab.vocab")
        vocab = type("Vocab", (), {"__module__": module.__name__})
        module.Vocab = vocab  # type: ignore[attr-defined]
        for name in ("torchtext", "torchtext.vocab", module.__name__):
            monkeypatch.setitem(sys.modules, name, module)
        with pytest.raises(mar.MarError, match="torchtext.*collections.Counter") as raised:
            of_vocabulary(tmp_path / "theirs.mar", vocab())
        assert raised.value.code == "dead_library"
        assert not (tmp_path / "theirs.mar").exists()

    def test_of_plain_numbers_are_taken(self, tmp_path: Path) -> None:
        info = of_vocabulary(tmp_path / "theirs.mar", collections.Counter(word=1))
        assert info.stock is not None
        assert info.interface.inputs[0].kind == "text"


def of_vocabulary(path: Path, vocabulary: Any) -> mar.MarInfo:
    buffer = io.BytesIO()
    torch.save(vocabulary, buffer)
    files: dict[str, bytes | Path] = {"model.pt": b"weights", "source_vocab.pt": buffer.getvalue()}
    return mar.build(path, name="theirs", handler="text_classifier", serialized_file="model.pt", files=files)


class TestArchives:
    def test_around_a_derived_class_take_and_give_what_it_does(self, tmp_path: Path) -> None:
        files: dict[str, bytes | Path] = {
            "handler.py": DERIVED.encode(),
            "index_to_name.json": b'{"1": "dog", "0": "cat"}',
        }
        found = mar.build(
            tmp_path / "x.mar", name="x", handler="handler.py", serialized_file=None, files=files
        ).interface
        assert [found.inputs[0].kind, found.outputs[0].kind] == ["image", "probabilities"]
        assert found.labels == ("cat", "dog")
