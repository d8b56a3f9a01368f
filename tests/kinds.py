"""Small models of the kinds that no starter is of, as archives: boxes on an image, a row's number, texts, tensors."""

from pathlib import Path

from serving_runtime.archive import mar

# Name, which is also the task -> what it takes and gives, and how it answers one row.
MODELS = {
    "finder": (
        "inputs: [{name: image, datatype: BYTES, shape: [-1], image: {width: 32, height: 32}}]\n"
        "outputs: [{name: found, datatype: BYTES, shape: [-1], kind: boxes}]",
        "json.dumps([{'label': 'left', 'score': 0.9, 'box': [0, 0, *half(row[0])]}])",
    ),
    "grade": (
        "inputs: [{name: row, datatype: FP32, shape: [-1, 2], columns: [\n"
        "  {name: alcohol, unit: '% vol', minimum: 11, maximum: 15, example: 13},\n"
        "  {name: colour, categories: [red, white]}]}]\n"
        "outputs: [{name: grade, datatype: FP32, shape: [-1], kind: number, unit: points}]",
        "10 * row[0][0] + row[0][1]",
    ),
    "shout": (
        "inputs: [{name: text, datatype: BYTES, shape: [-1]}]\n"
        "outputs: [{name: shouted, datatype: BYTES, shape: [-1], kind: text}]",
        "text(row[0]).upper()",
    ),
    "double": (
        "inputs: [{name: x, datatype: FP32, shape: [-1, 2], example: [1, 2]}]\n"
        "outputs: [{name: y, datatype: FP32, shape: [-1, 2]}]",
        "2 * row[0]",
    ),
}
HANDLER = """
import io, json
import numpy as np
from PIL import Image

OUTPUT, IS_TEXT = {output!r}, {is_text}

def half(file):
    width, height = Image.open(io.BytesIO(file)).size
    return width / 2, height

def text(element):
    return element if isinstance(element, str) else element.decode()

class Model:
    def initialize(self, context):
        pass

    def predict(self, inputs):
        found = [{answer} for row in zip(*inputs.values())]
        return {{OUTPUT: np.array(found, dtype=object if IS_TEXT else np.float32)}}
"""


def pack(name: str, folder: Path) -> Path:
    """The archive of one of MODELS, in a folder."""
    tensors, answer = MODELS[name]
    output = tensors.rpartition("outputs: [{name: ")[2]
    handler = HANDLER.format(
        output=output.partition(",")[0], is_text="datatype: BYTES" in output, answer=answer
    )
    files: dict[str, bytes | Path] = {
        "handler.py": handler.encode(),
        "model.yaml": f"name: {name}\ntask: {name}\n{tensors}\n".encode(),
    }
    path = folder / f"{name}.mar"
    mar.build(path, name=name, handler="handler.py", serialized_file=None, files=files)
    return path
