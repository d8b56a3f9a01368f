"""The model that MLServer loads; the bench writes settings.json and model-settings.json beside it."""

import json
from pathlib import Path

import numpy as np
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

SHAPE = json.loads(Path("shape.json").read_text())  # of a batch, as the network gets it


class Digits(MLModel):
    async def load(self):
        torch.set_num_threads(1)
        self.network = torch.jit.load("model.pt").eval()
        return True

    async def predict(self, payload):
        pixels = np.ascontiguousarray(NumpyCodec.decode_input(payload.inputs[0]))
        with torch.inference_mode():
            answer = self.network(torch.from_numpy(pixels).float().reshape(SHAPE)).numpy()
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", answer)]
        )
