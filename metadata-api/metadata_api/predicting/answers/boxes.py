"""Boxes on an image, in one JSON text."""

from dataclasses import replace

from metadata_api.predicting.base import Answer, Outputs, text_of
from serving_runtime.protocol import json_answers

RANK = 1
FAMILY = "none"
# Most boxes that are told and recorded of one answer, the surest first.
MOST = 300


def read(outputs: Outputs) -> Answer:
    """The surest boxes."""
    found = outputs.of_kind("boxes")
    if found is None or not isinstance(found[1].data, list) or not found[1].data:
        raise ValueError("its boxes are missing")
    boxes = sorted(json_answers.boxes(found[1].data[0]), key=lambda box: -box.score)[:MOST]
    return Answer("boxes", boxes=[replace(box, label=text_of(box.label)[:200]) for box in boxes])
