"""The model spec of a model: read strictly, and what is wrong is named."""

import pytest

from serving_runtime.archive.model_spec import ModelSpecError, TensorSpec, parse

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
    assert spec.inputs == (TensorSpec("image", "UINT8", (-1, 28, 28), ("UINT8", "BYTES")),)
    assert spec.outputs == (TensorSpec("label", "BYTES", (-1,), ("BYTES",)),)
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
