"""The model specs in docs/models.md are read as the document says."""

import re
from pathlib import Path

import pytest

from serving_runtime.archive.model_spec import parse

DOCUMENT = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
SPECS = re.findall(r"^    name: .*\n(?:    .*\n)+", DOCUMENT, re.MULTILINE)
KINDS = {
    "shapes": (["image"], ["probabilities", "label"]),
    "wine": (["table"], ["number"]),
    "summary": (["text"], ["text"]),
    "echo": (["tensor"], ["tensor"]),
}


@pytest.mark.parametrize("text", SPECS, ids=range(len(SPECS)))
def test_it_is_read(text: str) -> None:
    spec = parse(re.sub("^    ", "", text, flags=re.MULTILINE))
    assert ([item.kind for item in spec.inputs], [item.kind for item in spec.outputs]) == KINDS[spec.name]


def test_there_is_one_for_each_kind_of_input() -> None:
    assert len(SPECS) == len(KINDS)
