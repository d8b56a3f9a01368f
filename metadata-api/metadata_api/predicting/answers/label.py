"""One label without probabilities."""

from metadata_api.predicting.answers.probabilities import label_of
from metadata_api.predicting.base import Answer, Outputs

RANK = 3
FAMILY = "classes"


def read(outputs: Outputs) -> Answer:
    """The label, or that at an index."""
    found = outputs.of_kind("label")
    if found is None or not found[1].data:
        raise ValueError("its label is empty")
    return Answer("label", label=label_of(found[1].values()[0], outputs.labels))
