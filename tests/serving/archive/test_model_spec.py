"""The model spec of a model: read strictly, and what is wrong is named."""

import json

import pytest

from serving_runtime.archive.model_spec import ModelSpecError, parse
from serving_runtime.archive.tensor_kinds import (
    Column,
    ImageFormat,
    TensorSpec,
    as_document,
    from_document,
    parameters,
    taken,
)

SPEC = """
name: cnn-baseline
description: "One line: a colon and all."
network: cnn
parameters: {learning_rate: 0.05, momentum: 0, layers: 2, nesterov: true, optimizer: sgd}
seed: 7
labels: ["0", "1"]
inputs: [{name: image, datatype: UINT8, shape: [-1, 28, 28], accepts: [UINT8, BYTES]}]
outputs: [{name: label, datatype: BYTES, shape: [-1]}]
"""


def test_every_field_is_read() -> None:
    spec = parse(SPEC)
    assert (spec.name, spec.network, spec.seed) == ("cnn-baseline", "cnn", 7)
    assert spec.description == "One line: a colon and all."
    assert spec.labels == ("0", "1")
    assert spec.parameters == {
        "learning_rate": 0.05,
        "momentum": 0,
        "layers": 2,
        "nesterov": True,
        "optimizer": "sgd",
    }
    assert spec.inputs == (
        TensorSpec(
            "image",
            "UINT8",
            (-1, 28, 28),
            ("UINT8", "BYTES"),
            "image",
            ImageFormat(28, 28, 1, "HW", 0, 255),
        ),
    )
    assert spec.outputs == (TensorSpec("label", "BYTES", (-1,), ("BYTES",), "label"),)
    assert parse(SPEC.encode()) == spec


def test_model_from_elsewhere_needs_only_name_and_tensors() -> None:
    spec = parse("{name: x, inputs: [{name: a, datatype: FP32, shape: [-1]}],"
                 " outputs: [{name: b, datatype: FP32, shape: [-1]}]}")  # fmt: skip
    assert (spec.labels, spec.parameters, spec.network, spec.seed) == ((), {}, "", 0)
    assert spec.inputs[0].accepts == ("FP32",)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name: cnn-baseline", "", "no 'name'"),
        ("name: cnn-baseline", "name: CNN", "lower-case"),
        ("name: cnn-baseline", "name: a" + "b" * 40, "at most 40"),
        ("name: cnn-baseline", "name: trailing-", "lower-case"),
        ("name: cnn-baseline", "name: ../up", "lower-case"),
        ("seed: 7", "sead: 7", "unknown key 'sead'"),
        ("seed: 7", "seed: 7\nseed: 8", "'seed' is given twice"),
        ("seed: 7", "seed: -1", "seed must be a whole number"),
        ("seed: 7", "seed: true", "seed must be a whole number"),
        ("network: cnn", "network: ../../etc", "network"),
        ("0.05", ".nan", "learning_rate must be a finite number"),
        ("0.05", ".inf", "learning_rate must be a finite number"),
        ("0.05", "[1]", "learning_rate must be a finite number"),
        ("0.05", "1" * 30, "learning_rate must be a finite number"),
        ("0.05", "2024-01-01", "learning_rate must be a finite number"),
        ('["0", "1"]', "[0, 1]", "labels must be one line of text"),
        ('["0", "1"]', '["0", "0"]', "one class twice"),
        ("datatype: UINT8", "datatype: uint8", "must be one of BOOL"),
        ("shape: [-1, 28, 28]", "shape: [28, 28]", "starts with -1"),
        ("shape: [-1, 28, 28]", "shape: [-1, 0]", "from 1 to"),
        ("shape: [-1, 28, 28]", "shape: [-1, -1]", "from 1 to"),
        ("accepts: [UINT8, BYTES]", "accepts: [BYTES]", "holds UINT8"),
        ("accepts: [UINT8, BYTES]", "accepts: [UINT8, PNG]", "must be one of BOOL"),
        ("[{name: label", "[{name: label, datatype: FP32, shape: [-1]}, {name: label", "two tensors with one name"),
        ("seed: 7", "seed: !!python/object/apply:os.getpid []", "not readable YAML"),
        ("seed: 7", "seed: &a 7", ""),
        ("labels:", "more: &a {x: 1}\nlabels: *a #", "alias"),
        ("labels:", "\tlabels:", "not readable YAML"),
        (SPEC, "", "must be a mapping"),
        (SPEC, "- 1", "must be a mapping"),
        (SPEC, "x" * 70_000, "longer than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(old: str, new: str, reason: str) -> None:
    text = SPEC.replace(old, new, 1)
    assert text != SPEC
    if not reason:
        assert parse(text) == parse(SPEC)
        return
    with pytest.raises(ModelSpecError, match=reason):
        parse(text)


def test_text_that_is_not_utf_8_is_rejected() -> None:
    with pytest.raises(ModelSpecError, match="UTF-8"):
        parse(SPEC.encode("utf-16"))


def read_one(tensor: str, *, side: str = "inputs", labels: str = "[]") -> TensorSpec:
    """The tensor of a model spec that has one on this side."""
    other = "outputs" if side == "inputs" else "inputs"
    plain = "[{name: other, datatype: FP32, shape: [-1, 3]}]"
    spec = parse(f"name: x\nlabels: {labels}\n{side}: [{{name: a, {tensor}}}]\n{other}: {plain}")
    (found,) = spec.inputs if side == "inputs" else spec.outputs
    return found


TABLE = "datatype: FP32, shape: [-1, 2], columns: [{name: alcohol, unit: '% vol', minimum: 11, maximum: 15,\n\
 example: 13.2}, {name: color, categories: [red, white], example: red}]"


class TestKinds:
    @pytest.mark.parametrize(
        ("tensor", "kind"),
        [
            ("datatype: UINT8, shape: [-1, 28, 28], accepts: [UINT8, BYTES]", "image"),
            ("datatype: UINT8, shape: [-1, 32, 32, 3], accepts: [UINT8, BYTES]", "image"),
            ("datatype: FP32, shape: [-1, 3, 224, 224], accepts: [FP32, BYTES]", "image"),
            ("datatype: FP32, shape: [-1, 3, 224, 224]", "tensor"),
            ("datatype: FP32, shape: [-1, 4, 9, 9], accepts: [FP32, BYTES]", "tensor"),
            ("datatype: BYTES, shape: [-1]", "text"),
            ("datatype: BYTES, shape: [-1, 4]", "tensor"),
            ("datatype: FP32, shape: [-1, 4]", "tensor"),
            ("datatype: FP32, shape: [-1, 4], kind: raw", "raw"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: age}]", "table"),
            ("datatype: BYTES, shape: [-1], kind: image", "image"),
        ],
    )
    def test_input_is_told_by_what_it_accepts(self, tensor: str, kind: str) -> None:
        assert read_one(tensor).kind == kind

    @pytest.mark.parametrize(
        ("tensor", "labels", "kind"),
        [
            ("datatype: FP32, shape: [-1, 2]", "[a, b]", "probabilities"),
            ("datatype: FP32, shape: [-1, 2]", "[a, b, c]", "tensor"),
            ("datatype: FP32, shape: [-1, 2]", "[]", "tensor"),
            ("datatype: BYTES, shape: [-1]", "[a, b]", "label"),
            ("datatype: BYTES, shape: [-1]", "[]", "text"),
            ("datatype: FP32, shape: [-1]", "[]", "number"),
            ("datatype: FP64, shape: [-1, 1]", "[]", "number"),
            ("datatype: INT64, shape: [-1, 1]", "[]", "tensor"),
            ("datatype: INT64, shape: [-1, 1], kind: number, unit: years", "[]", "number"),
            ("datatype: BYTES, shape: [-1], kind: boxes", "[a]", "boxes"),
            ("datatype: BYTES, shape: [-1], kind: probabilities", "[]", "probabilities"),
        ],
    )
    def test_output_is_told_by_shape_and_labels(self, tensor: str, labels: str, kind: str) -> None:
        assert read_one(tensor, side="outputs", labels=labels).kind == kind

    @pytest.mark.parametrize(
        ("tensor", "expected"),
        [
            ("shape: [-1, 20, 30, 3]", ImageFormat(30, 20, 3, "HWC", 0, 255)),
            ("shape: [-1, 3, 20, 30]", ImageFormat(30, 20, 3, "CHW", 0, 255)),
            (
                "shape: [-1, 20, 30], image: {minimum: 255, maximum: 256}",
                ImageFormat(30, 20, 1, "HW", 255, 256),
            ),
        ],
    )
    def test_format_of_an_image_comes_from_its_shape(self, tensor: str, expected: ImageFormat) -> None:
        assert read_one(f"datatype: UINT8, accepts: [UINT8, BYTES], {tensor}").image == expected

    def test_image_of_files_has_the_size_that_is_said_or_none(self) -> None:
        assert read_one("datatype: BYTES, shape: [-1], kind: image").image is None
        found = read_one("datatype: BYTES, shape: [-1], image: {width: 64, height: 48}")
        assert found.image == ImageFormat(64, 48, 3, "HWC", 0, 255)

    def test_columns_of_a_table_are_read(self) -> None:
        assert read_one(TABLE).columns == (
            Column("alcohol", "% vol", 11, 15, (), 13.2),
            Column("color", categories=("red", "white"), example="red"),
        )

    def test_a_column_of_texts_may_be_optional(self) -> None:
        columns = (
            "columns: [{name: age, optional: true}, {name: color, categories: [red, white], optional: true}]"
        )
        found = read_one(f"datatype: BYTES, shape: [-1, 2], {columns}")
        assert [one.optional for one in found.columns] == [True, True]
        assert taken(found.columns[0], "BYTES") == "a string, or an empty text"
        assert taken(found.columns[1], "BYTES") == "one of red, white, or an empty text"
        assert parameters(found)["optional"] == '["age", "color"]'

    @pytest.mark.parametrize(
        ("tensor", "reason"),
        [
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a, optional: true}]", "make the table one of BYTES"),
            ("datatype: BYTES, shape: [-1, 1], columns: [{name: a, optional: 1}]", "must be true or false"),
            ("datatype: FP32, shape: [-1, 4], kind: picture", "kind must be one of image, table"),
            ("datatype: FP32, shape: [-1, 4], kind: number", "kind must be one of image, table"),
            ("datatype: FP32, shape: [-1, 4], kind: text", "datatype must be BYTES and its shape"),
            ("datatype: FP32, shape: [-1, 4], kind: image", "height, width"),
            ("datatype: BYTES, shape: [-1, 4], kind: image", "its shape must be"),
            ("datatype: FP32, shape: [-1, 4], kind: table", "list its columns"),
            ("datatype: FP32, shape: [-1, 4], columns: [{name: a}]", "its shape must be"),
            ("datatype: FP32, shape: [-1, 4], unit: m", "unknown key 'unit'"),
            ("datatype: FP32, shape: [-1, 4], image: {}, kind: tensor", "image is for the kind image"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a}], kind: tensor", "columns is for the kind table"),
            ("datatype: UINT8, shape: [-1, 8, 9], image: {width: 8}", r"says \[8, 8\]"),
            ("datatype: UINT8, shape: [-1, 8, 9], image: {layout: XY}", "layout must be one of HW"),
            ("datatype: UINT8, shape: [-1, 8, 9], image: {maximum: 0}", "minimum must be below"),
            ("datatype: UINT8, shape: [-1, 8, 9], image: {side: 8}", "unknown key 'side'"),
            ("datatype: FP32, shape: [-1, 2], columns: [{name: a}, {name: a}]", "two columns with one name"),
            ("datatype: FP32, shape: [-1, 1], columns: [{unit: m}]", "no 'name'"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: ''}]", "name is empty"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a, minimum: 2, maximum: 1}]", "not be above"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a, categories: [b], minimum: 1}]", "holds texts"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a, categories: [b], example: c}]", "of the categories"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a, categories: [b, ' ']}]", "has an empty one"),
            ("datatype: FP32, shape: [-1, 1], columns: [{name: a, example: b}]", "finite number"),
            ("datatype: FP32, shape: [-1, 1], columns: []", "list of 1 to"),
            ("datatype: FP32, shape: [-1, 2], example: [1]", "must be one row"),
            ("datatype: FP32, shape: [-1, 2], example: [1, .nan]", "finite number"),
            ("datatype: BYTES, shape: [-1], example: 1", "must be a text"),
            ("datatype: UINT8, shape: [-1, 8, 9], kind: image, example: 1", "for the kinds text and tensor"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_with_an_input_is_named(self, tensor: str, reason: str) -> None:
        with pytest.raises(ModelSpecError, match=reason):
            read_one(tensor)

    @pytest.mark.parametrize(
        ("tensor", "reason"),
        [
            ("datatype: FP32, shape: [-1, 2], kind: image", "kind must be one of probabilities"),
            (
                "datatype: FP32, shape: [-1, 2], kind: probabilities",
                "2 probabilities, but there are 3 labels",
            ),
            ("datatype: INT64, shape: [-1, 3], kind: probabilities", "FP32 or FP64"),
            ("datatype: FP32, shape: [-1, 3], kind: label", "must be BYTES"),
            ("datatype: FP32, shape: [-1, 3], kind: number", "must be one of numbers"),
            ("datatype: FP32, shape: [-1, 3], unit: m", "unit is for the kind number"),
            ("datatype: FP32, shape: [-1, 3], accepts: [FP32]", "unknown key 'accepts'"),
        ],
    )
    def test_what_is_wrong_with_an_output_is_named(self, tensor: str, reason: str) -> None:
        with pytest.raises(ModelSpecError, match=reason):
            read_one(tensor, side="outputs", labels="[a, b, c]")

    @pytest.mark.parametrize(
        ("tensor", "content_type"),
        [
            (TABLE, "np"),
            ("datatype: UINT8, shape: [-1, 28, 28], accepts: [UINT8, BYTES]", "np"),
            ("datatype: BYTES, shape: [-1], image: {width: 64, height: 48}", "base64"),
            ("datatype: BYTES, shape: [-1], example: 'two\n\n  lines'", "str"),
            ("datatype: FP32, shape: [-1, 2], example: [1, 2.5]", "np"),
            ("datatype: BYTES, shape: [-1], kind: raw", None),
        ],
    )
    def test_document_says_all_and_is_read_back(self, tensor: str, content_type: str | None) -> None:
        found = read_one(tensor)
        document = json.loads(json.dumps(as_document(found)))
        assert document["content_type"] == content_type
        assert from_document(document, is_input=True, labels=()) == found

    def test_v2_metadata_says_of_a_table_what_its_columns_hold(self) -> None:
        assert parameters(read_one(TABLE)) == {
            "kind": "table",
            "content_type": "np",
            "columns": '["alcohol", "color"]',
            "categories": '{"color": ["red", "white"]}',
            "units": '{"alcohol": "% vol"}',
            "ranges": '{"alcohol": [11, 15]}',
        }

    def test_environment_and_task_are_names(self) -> None:
        spec = parse(SPEC + "environment: vision\ntask: digits\ndataset: mnist-10k\n")
        assert (spec.environment, spec.task, spec.dataset) == ("vision", "digits", "mnist-10k")
        assert (parse(SPEC).environment, parse(SPEC).task) == ("", "")
        for key in ("environment", "task", "dataset"):
            with pytest.raises(ModelSpecError, match=f"{key} must be lower-case"):
                parse(SPEC + f"{key}: ../up\n")
