"""Models of other kinds for the fake API: what they take and give, and what they answer."""

from typing import Any

Json = dict[str, Any]


def taking(kind: str, **changes: Any) -> Json:
    """An input as the API shows it."""
    shape, datatype = [-1], "BYTES"
    content = {"text": "str", "image": "base64"}.get(kind, "np")
    found = {
        "name": "x",
        "datatype": datatype,
        "shape": shape,
        "kind": kind,
        "content_type": content,
        **changes,
    }
    return {**found, "accepts": found.get("accepts", [found["datatype"]])}


def giving(kind: str, **changes: Any) -> Json:
    """An output as the API shows it."""
    return taking(kind, name="y", **changes)


GREY = {"width": 28, "height": 28, "channels": 1, "layout": "HW", "minimum": 0, "maximum": 255}
COLOUR = {"width": 32, "height": 32, "channels": 3, "layout": "HWC", "minimum": 0, "maximum": 255}
DIGITS = {
    "task": "digits",
    "inputs": [taking("image", name="image", datatype="UINT8", shape=[-1, 28, 28], image=GREY)],
    "outputs": [giving("probabilities", datatype="FP32", shape=[-1, 10])],
    "labels": [str(digit) for digit in range(10)],
}
WINE: list[Json] = [
    {"name": "alcohol", "unit": "% vol", "minimum": 11, "maximum": 15, "example": 13.2},
    {"name": "malic_acid", "unit": "g/l", "minimum": 0.7, "maximum": 5.8, "example": 1.78},
    {"name": "colour", "categories": ["red", "white"], "example": "red"},
    {"name": "proline", "minimum": 278, "maximum": 1680},
]
TABLE = [taking("table", name="row", datatype="FP32", shape=[-1, 4], columns=WINE)]
# Deployment -> what it takes and gives.
KINDS: dict[str, Json] = {
    "wine-forest": {
        "task": "wine",
        "inputs": TABLE,
        "outputs": [giving("label")],
        "labels": ["barolo", "grignolino", "barbera"],
    },
    "wine-linear": {
        "task": "wine",
        "inputs": TABLE,
        "outputs": [giving("probabilities", datatype="FP32", shape=[-1, 3])],
        "labels": ["barolo", "grignolino", "barbera"],
    },
    "sugar-a": {
        "task": "table-number-0a1b2c3d",
        "inputs": [taking("table", datatype="FP32", shape=[-1, 1], columns=[{"name": "bmi", "example": 26}])],
        "outputs": [giving("number", datatype="FP32", shape=[-1], unit="points")],
        "labels": [],
    },
    "language": {
        "task": "language",
        "inputs": [taking("text", name="text", example="Deutschland")],
        "outputs": [giving("probabilities", datatype="FP32", shape=[-1, 3])],
        "labels": ["German", "Portuguese", "Finnish"],
    },
    "shout": {
        "task": "shout",
        "inputs": [taking("text", name="text")],
        "outputs": [giving("text")],
        "labels": [],
    },
    "detector": {
        "task": "image-boxes-00112233",
        "inputs": [taking("image", name="image", image=COLOUR)],
        "outputs": [giving("boxes")],
        "labels": [],
    },
    "doubler": {
        "task": "double",
        "inputs": [taking("tensor", datatype="FP32", shape=[-1, 2], example=[1, 2])],
        "outputs": [giving("tensor", datatype="FP32", shape=[-1, 2])],
        "labels": [],
    },
}
for _letter, _number in (("b", 2), ("c", 3)):
    KINDS[f"sugar-{_letter}"] = KINDS["sugar-a"]


def answer(name: str, question: Json) -> Json:
    """What a deployment of KINDS says: the fields of its result."""
    if name == "wine-forest":
        return {"kind": "label", "label": "barolo"}
    if name == "wine-linear":
        return _classes([("barbera", 0.71), ("barolo", 0.2), ("grignolino", 0.09)])
    if name == "language":
        return _classes([("German", 0.8), ("Finnish", 0.15), ("Portuguese", 0.05)])
    if name == "shout":
        return {"kind": "text", "text": str(question["text"]).upper() + " <b>!</b>"}
    if name.startswith("sugar"):
        number = float(question["row"]["bmi"]) * 4 + {"a": 0, "b": 3, "c": 61}[name[-1]]
        return {"kind": "number", "number": number, "unit": "points"}
    if name == "detector":
        boxes = [
            {"label": "cat", "score": 0.93, "box": [10, 20, 120, 150]},
            {"label": "dog", "score": 0.88, "box": [150, 40, 290, 190]},
            {"label": "bird", "score": 0.04, "box": [0, 0, 5, 5]},
        ]
        return {"kind": "boxes", "boxes": boxes}
    [tensor] = question["tensors"]
    return {
        "kind": "tensor",
        "tensors": [{**tensor, "name": "y", "data": [2 * one for one in tensor["data"]]}],
    }


def _classes(shares: list[tuple[str, float]]) -> Json:
    listed = [{"label": label, "probability": share} for label, share in shares]
    return {"kind": "probabilities", "label": shares[0][0], "probabilities": listed}
