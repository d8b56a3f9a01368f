"""BentoML's service; started as `bentoml serve bentoml_server:Digits --port PORT`."""

import json
from pathlib import Path
from typing import Any

import bentoml
import torch

SHAPE = json.loads(Path("shape.json").read_text())  # of a batch, as the network gets it


@bentoml.service(workers=1, traffic={"timeout": 30})
class Digits:
    def __init__(self):
        torch.set_num_threads(1)
        self.network = torch.jit.load("model.pt").eval()

    @bentoml.api
    def predict(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        images = torch.tensor(inputs[0]["data"], dtype=torch.float32).reshape(SHAPE)
        with torch.inference_mode():
            answer = self.network(images)
        data = answer.flatten().tolist()
        tensor = {"name": "probabilities", "shape": list(answer.shape), "datatype": "FP32", "data": data}
        return {"model_name": "digits", "outputs": [tensor]}
