"""Handlers of colour images, tables and texts: whole batches for our front, plain rows for TorchServe."""

import ast
import inspect
import io
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from serving_runtime.archive import mar
from serving_runtime.starter import image_handler, table_handler, text_handler

from ..starters import starter
from ..untrained import Context

HANDLERS = {"shapes-cnn": image_handler, "wine-mlp": table_handler, "diabetes-linear": table_handler,
            "language-cnn": text_handler, "language-trigrams": text_handler}  # fmt: skip
ROW = {"age": 59, "sex": "2", "bmi": 32.1, "blood_pressure": 101, "total_cholesterol": 157, "ldl": 93.2, "hdl": 38,
       "cholesterol_ratio": 4, "log_triglycerides": 4.8598, "glucose": 87}  # fmt: skip
NUMBERS = [59, 1, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name -> a loaded model of that experiment, with random weights, and its context."""
    before = torch.get_num_threads()
    found = {}
    for name, module in HANDLERS.items():
        folder = tmp_path_factory.mktemp("model")
        starter(folder / "x.mar", name)
        mar.unpack(folder / "x.mar", folder / name)
        model, context = module.Handler(), Context(folder / name)
        model.initialize(context)
        found[name] = model, context
    yield found
    torch.set_num_threads(before)


def png(colour: tuple[int, ...], size: tuple[int, int] = (32, 32)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB" if len(colour) == 3 else "RGBA", size, colour).save(file, "PNG")
    return file.getvalue()


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize("module", dict.fromkeys(HANDLERS.values()), ids=lambda module: module.__name__)
def test_handler_has_the_one_class_that_torchserve_wants(module: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(module))
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == ["Handler"]


class TestImages:
    def test_file_of_any_size_and_pixels_get_one_answer(self, models: Any) -> None:
        model, _ = models["shapes-cnn"]
        pixels = np.full((1, 32, 32, 3), (200, 10, 60), np.uint8)
        files = [png((200, 10, 60)), png((200, 10, 60), (300, 90)), png((200, 10, 60, 255))]
        ways: list[np.ndarray] = [pixels, pixels.astype(np.float32) / 255, *map(objects, files)]
        answers = [model.predict({"image": image}, return_preprocessed=True) for image in ways]
        assert answers[0]["probabilities"].shape == (1, 6)
        for answer in answers:
            assert np.array_equal(answer["preprocessed"], pixels)
            assert np.allclose(answer["probabilities"], answers[0]["probabilities"], atol=1e-6)

    def test_what_is_transparent_is_white(self, models: Any) -> None:
        model, _ = models["shapes-cnn"]
        seen = model.predict({"image": objects(png((0, 0, 0, 0)))}, return_preprocessed=True)["preprocessed"]
        assert (seen == 255).all()

    @pytest.mark.parametrize(
        "image",
        [
            objects(b"no image"),
            objects(7),
            np.zeros((1, 32, 32), np.uint8),
            np.zeros((1, 3, 32, 32), np.float32),
            np.full((1, 32, 32, 3), 2, np.float32),
            np.full((1, 32, 32, 3), np.nan, np.float32),
            np.zeros((0, 32, 32, 3), np.uint8),
        ],
    )
    def test_what_is_no_image_is_rejected(self, image: np.ndarray, models: Any) -> None:
        with pytest.raises(ValueError, match="image"):
            models["shapes-cnn"][0].predict({"image": image})

    def test_plain_request_is_a_file(self, models: Any) -> None:
        model, context = models["shapes-cnn"]
        good, bad = model.handle([{"body": bytearray(png((1, 2, 3)))}, {"data": "text"}], context)
        assert sum(good["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert "readable" in bad["error"] or "bytes" in bad["error"]
        assert context.statuses[1] == (400, "Bad Request")


class TestTables:
    def test_row_by_names_is_the_row_of_numbers(self, models: Any) -> None:
        model, context = models["diabetes-linear"]
        named, listed = model.handle([{"body": json.dumps(ROW).encode()}, {"body": NUMBERS}], context)
        assert named == listed
        answer = model.predict({"row": np.array([NUMBERS, NUMBERS], np.float32)})
        assert answer["progression"].shape == (2,)
        assert answer["progression"][0] == pytest.approx(named["progression"], rel=1e-5)

    def test_classes_have_probabilities(self, models: Any) -> None:
        answer = models["wine-mlp"][0].predict({"row": np.ones((3, 13), np.float32)})
        assert answer["probabilities"].sum(1) == pytest.approx(1, abs=1e-5)
        assert set(answer["label"]) <= {"cultivar 1", "cultivar 2", "cultivar 3"}

    @pytest.mark.parametrize(
        "body",
        [b"{", b"[1, 2]", b'"text"', json.dumps({**ROW, "sex": "3"}), json.dumps({**ROW, "more": 1}), "{}"],
    )
    def test_bad_row_gets_400_and_a_reason(self, body: object, models: Any) -> None:
        model, context = models["diabetes-linear"]
        context.statuses.clear()
        (answer,) = model.handle([{"body": body}], context)
        assert answer["error"]
        assert context.statuses[0] == (400, "Bad Request")

    @pytest.mark.parametrize(
        ("at", "value", "reason"), [(1, 2, "sex must be"), (1, 0.5, "sex must be"), (0, np.nan, "finite")]
    )
    def test_bad_number_is_rejected(self, at: int, value: float, reason: str, models: Any) -> None:
        row = np.array([NUMBERS], np.float32)
        row[0, at] = value
        with pytest.raises(ValueError, match=reason):
            models["diabetes-linear"][0].predict({"row": row})

    def test_missing_input_is_named(self, models: Any) -> None:
        with pytest.raises(ValueError, match="'row' is missing"):
            models["wine-mlp"][0].predict({})


class TestTexts:
    @pytest.mark.parametrize("name", ["language-cnn", "language-trigrams"])
    def test_case_and_spaces_around_do_not_matter(self, name: str, models: Any) -> None:
        model, context = models[name]
        answers = model.predict({"text": objects("Åland".encode(), " ÅLAND ".encode(), b"x" * 500)})
        assert np.allclose(answers["probabilities"][0], answers["probabilities"][1], atol=1e-6)
        (plain,) = model.handle([{"body": "Åland"}], context)
        assert plain["label"] == answers["label"][0]

    @pytest.mark.parametrize("text", [b"", b"  ", b"\xff"])
    def test_what_is_no_text_is_rejected(self, text: bytes, models: Any) -> None:
        with pytest.raises(ValueError, match="text is"):
            models["language-cnn"][0].predict({"text": objects(text)})

    def test_characters_beyond_the_alphabet_are_taken(self, models: Any) -> None:
        assert models["language-cnn"][0].predict({"text": objects("日本 🙂".encode())})["label"].shape == (1,)
