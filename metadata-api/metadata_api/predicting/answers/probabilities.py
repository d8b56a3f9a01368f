"""Class probabilities: floats in the order of the version's labels, or JSON as TorchServe's handlers give it."""

import math
from collections.abc import Sequence

from metadata_api.predicting.base import Answer, Outputs, text_of
from serving_runtime.protocol import json_answers

RANK = 0
FAMILY = "classes"
# Most classes that are told and recorded of one answer, the most probable first.
MOST = 100
_LABEL_CHARACTERS = 200


def read(outputs: Outputs) -> Answer:
    """All probabilities, ranked, and the label: that of an output for it, else the most probable one."""
    found = outputs.of_kind("probabilities")
    assert found, "the caller sees to it"
    _, tensor = found
    if isinstance(tensor.data, list):
        said = json_answers.probabilities(tensor.data[0]) if tensor.data else {}
        pairs = [(text_of(name)[:_LABEL_CHARACTERS], value) for name, value in said.items()]
    else:
        values = tensor.values()
        labels = outputs.labels or [str(at) for at in range(len(values))]
        if len(values) != len(labels):
            raise ValueError(f"it has {len(values)} probabilities and its version {len(labels)} labels")
        pairs = list(zip(labels, values, strict=True))
    if not pairs or not all(type(value) is float and math.isfinite(value) for _, value in pairs):
        raise ValueError("its probabilities are no floats")
    ranked = sorted(pairs, key=lambda pair: -pair[1])[:MOST]
    named = outputs.of_kind("label")
    label = label_of(named[1].values()[0], outputs.labels) if named and named[1].data else ranked[0][0]
    return Answer("probabilities", label=label, probabilities=ranked)


def label_of(value: object, labels: Sequence[str]) -> str:
    """A label as text, also of a model that gives its index; raises ValueError for one that cannot be shown."""
    if type(value) is int and 0 <= value < len(labels):
        return labels[value]
    label = str(value)
    if len(label) > _LABEL_CHARACTERS or text_of(label) != label:
        raise ValueError(f"its label is not text of at most {_LABEL_CHARACTERS} characters")
    return label
