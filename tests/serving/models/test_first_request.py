"""The request that a version without a golden pair must answer before it is ready."""

import io

import pytest
from PIL import Image

from serving_runtime.archive.model_spec import parse
from serving_runtime.models.self_test import SelfTest


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ("datatype: BYTES, shape: [-1], example: Bonn", ["Bonn"]),
        ("datatype: BYTES, shape: [-1]", [""]),
        ("datatype: FP32, shape: [-1, 1], columns: [{name: age, minimum: 18}]", [18]),
        ("datatype: FP32, shape: [-1, 1], columns: [{name: b, categories: [x, y], example: y}]", [1]),
        ("datatype: BYTES, shape: [-1, 2], columns: [{name: age}, {name: a, categories: [x, y]}]", ["", "x"]),
        ("datatype: INT64, shape: [-1, 1], columns: [{name: age, example: 1.5}]", [0]),
        ("datatype: UINT8, shape: [-1, 1, 2], accepts: [UINT8, BYTES]", [0, 0]),
    ],
)  # fmt: skip
def test_it_is_a_row_of_examples_else_of_zeros(taken: str, expected: list[object]) -> None:
    spec = parse(
        f"name: x\ninputs: [{{name: a, {taken}}}]\noutputs: [{{name: b, datatype: FP32, shape: [-1]}}]"
    )
    request = SelfTest(spec.inputs, spec.outputs, None, has_spec=True).request
    assert (request.rows, request.inputs[0].values()) == (1, expected)


@pytest.mark.parametrize(
    ("image", "size", "mode"),
    [
        ("kind: image", (256, 256), "RGB"),
        ("image: {width: 64, height: 48}", (64, 48), "RGB"),
        ("image: {width: 4000, height: 28, channels: 1}", (256, 28), "L"),
    ],
)
def test_of_a_model_that_takes_files_alone_it_is_a_black_image(
    image: str, size: tuple[int, int], mode: str
) -> None:
    spec = parse(
        f"name: x\ninputs: [{{name: a, datatype: BYTES, shape: [-1], {image}}}]\n"
        "outputs: [{name: b, datatype: FP32, shape: [-1]}]"
    )
    (tensor,) = SelfTest(spec.inputs, spec.outputs, None, has_spec=True).request.inputs
    assert tensor.shape == (1,)
    [file] = tensor.data
    assert isinstance(file, bytes)
    made = Image.open(io.BytesIO(file))
    assert (made.size, made.mode, made.convert("L").getextrema()) == (size, mode, (0, 0))
