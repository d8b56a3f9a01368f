"""What a model takes and gives as a whole: by its model spec, or by what else tells it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from serving_runtime.archive import interface, mar, stock_handlers
from serving_runtime.archive.interface import Interface
from serving_runtime.archive.model_spec import parse
from serving_runtime.archive.tensor_kinds import as_document

PNG = b"\x89PNG\r\n\x1a\n..."
DIGITS = """
name: x
labels: [a, b]
inputs: [{name: image, datatype: UINT8, shape: [-1, 8, 8], accepts: [UINT8, BYTES]}]
outputs: [{name: probabilities, datatype: FP32, shape: [-1, 2]}, {name: label, datatype: BYTES, shape: [-1]}]
"""


def of_spec(text: str) -> Interface:
    return interface.of_archive(parse(text))


def kinds(found: Interface) -> tuple[str, str]:
    return found.inputs[0].kind, found.outputs[0].kind


def golden(taken: dict[str, Any], given: str) -> dict[str, Any]:
    result = {"name": "result", "datatype": "BYTES", "shape": [1], "data": [given]}
    data = {"name": "data", "datatype": "BYTES", "shape": [1], **taken}
    return {"request": {"inputs": [data]}, "response": {"outputs": [result]}}


class TestWithoutModelSpec:
    @pytest.mark.parametrize(
        ("handler", "expected"),
        [
            ("image_classifier", ("image", "probabilities")),
            ("object_detector", ("image", "boxes")),
            ("image_segmenter", ("image", "raw")),
            ("text_classifier", ("text", "probabilities")),
            ("handler.py", ("raw", "raw")),
        ],
    )
    def test_handler_of_torchserve_tells_it(self, handler: str, expected: tuple[str, str]) -> None:
        assert kinds(interface.of_archive(None, stock_handlers.of(handler, None))) == expected

    @pytest.mark.parametrize(
        ("taken", "given", "expected"),
        [
            ({"data": ["Bonn"]}, "a town", ("text", "text")),
            (
                {"data": [base64.b64encode(PNG).decode()]},
                '{"cat": 0.9, "dog": 0.1}',
                ("image", "probabilities"),
            ),
            (
                {"data": [base64.b64encode(PNG).decode()], "parameters": {"content_type": "base64"}},
                '[{"cat": [1, 2, 3, 4], "score": 0.5}]',
                ("image", "boxes"),
            ),
            ({"data": ["1"]}, "2.5", ("text", "number")),
            ({"data": ["1"]}, '{"cat": 12}', ("text", "raw")),
            ({"data": ["!"], "parameters": {"content_type": "base64"}}, "x", ("raw", "raw")),
            ({"data": []}, "x", ("raw", "raw")),
            ({"data": 7}, "x", ("raw", "raw")),
            ({"name": "image", "data": ["x"]}, "x", ("raw", "raw")),
        ],
    )
    def test_golden_pair_tells_it(self, taken: dict[str, Any], given: str, expected: tuple[str, str]) -> None:
        assert kinds(interface.of_archive(None, None, golden(taken, given))) == expected

    def test_class_names_of_torchserve_are_labels(self, tmp_path: Path) -> None:
        files: dict[str, bytes | Path] = {
            "model.pt": b"x",
            "index_to_name.json": json.dumps({"0": ["n01", "tench"], "1": "cat"}).encode(),
        }
        info = mar.build(
            tmp_path / "x.mar", name="x", handler="image_classifier", serialized_file="model.pt", files=files
        )
        assert info.interface.labels == ("tench", "cat")
        assert kinds(info.interface) == ("image", "probabilities")
        files["index_to_name.json"] = b"not json"
        info = mar.build(
            tmp_path / "x.mar", name="x", handler="image_classifier", serialized_file="model.pt", files=files
        )
        assert info.interface.labels == ()

    def test_class_that_derives_from_one_of_torchserves_tells_it(self, tmp_path: Path) -> None:
        source = (
            b"from ts.torch_handler.image_classifier import ImageClassifier\nclass Mine(ImageClassifier): ..."
        )
        files: dict[str, bytes | Path] = {"mine.py": source}
        info = mar.build(tmp_path / "x.mar", name="x", handler="mine.py", serialized_file=None, files=files)
        assert kinds(info.interface) == ("image", "probabilities")

    @pytest.mark.parametrize(
        "names", [[], {"0": 1}, {"1": "a"}, {"0": "a", "1": "a"}, {"0": "a\n"}, {"0": []}]
    )
    def test_class_names_of_another_form_are_none(self, names: Any) -> None:
        assert interface.labels_of_index(names) == ()


class TestTask:
    def test_is_one_for_models_that_take_and_give_the_same(self) -> None:
        one = of_spec(DIGITS)
        assert one.task.startswith("image-classes-")
        assert (
            of_spec(DIGITS.replace("name: image", "name: picture").replace("name: x", "name: y")).task
            == one.task
        )
        assert of_spec(DIGITS.replace(", {name: label, datatype: BYTES, shape: [-1]}", "")).task == one.task

    @pytest.mark.parametrize(
        ("old", "new"), [("[a, b]", "[a, c]"), ("[-1, 8, 8]", "[-1, 9, 8]"), ("[-1, 8, 8]", "[-1, 8, 8, 3]")]
    )
    def test_is_another_for_other_classes_and_other_images(self, old: str, new: str) -> None:
        assert of_spec(DIGITS.replace(old, new, 1)).task != of_spec(DIGITS).task

    def test_columns_and_units_tell_tables_apart(self) -> None:
        table = "name: x\ninputs: [{name: row, datatype: FP32, shape: [-1, 1], columns: [{name: age, maximum: 9}]}]\n"
        table += "outputs: [{name: y, datatype: FP32, shape: [-1], kind: number, unit: m}]"
        assert of_spec(table.replace("maximum: 9", "maximum: 8")).task == of_spec(table).task
        assert of_spec(table.replace("name: age", "name: size")).task != of_spec(table).task
        assert of_spec(table.replace("unit: m", "unit: kg")).task != of_spec(table).task

    def test_is_what_the_model_spec_says(self) -> None:
        assert of_spec(DIGITS + "task: letters").task == "letters"


class TestRows:
    @pytest.mark.parametrize("handler", ["image_classifier", "handler.py"])
    def test_row_without_kinds_reads_as_one_with_them(self, handler: str) -> None:
        for found in (of_spec(DIGITS), interface.of_archive(None, stock_handlers.of(handler, None))):
            taken, given = (
                [as_document(tensor) for tensor in side] for side in (found.inputs, found.outputs)
            )
            assert interface.of_documents(taken, given, found.labels, handler) == found
            for document in (*taken, *given):
                for key in ("kind", "content_type", "image"):
                    document.pop(key, None)
            assert interface.of_documents(taken, given, found.labels, handler) == found

    def test_a_row_from_before_there_were_specs_reads_as_a_model_without_one(self) -> None:
        for handler in ("image_classifier", "handler.py"):
            plain = interface.of_archive(None, stock_handlers.of(handler, None))
            found = interface.of_documents([], [], (), handler)
            assert found == plain
            assert found.task == plain.task
