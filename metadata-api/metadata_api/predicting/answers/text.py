"""One text."""

from metadata_api.predicting.base import Answer, Outputs, text_of

RANK = 4
FAMILY = "texts"


def read(outputs: Outputs) -> Answer:
    """The first element of the output."""
    found = outputs.of_kind("text")
    if found is None or not isinstance(found[1].data, list) or not found[1].data:
        raise ValueError("its text is missing")
    return Answer("text", text=text_of(found[1].data[0]))
