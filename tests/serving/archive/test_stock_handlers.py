"""What is told of TorchServe's own handlers, and of classes that derive from them, without running them."""

import pytest

from serving_runtime.archive import stock_handlers
from serving_runtime.archive.manifest import TORCHSERVE_HANDLERS

DERIVED = "from ts.torch_handler.image_classifier import ImageClassifier\nclass Mine(ImageClassifier):\n    topk = 3\n"


def kinds(source: str) -> tuple[str, str] | None:
    found = stock_handlers.of("handler.py", source.encode())
    return found and (found.input_kind, found.output_kind)


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
