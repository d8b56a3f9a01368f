"""The model server of KServe's Python SDK: python kserve_server.py PORT"""

import json
import sys
from pathlib import Path

import kserve
import numpy as np
import torch

SHAPE = json.loads(Path("shape.json").read_text())  # of a batch, as the network gets it

torch.set_num_threads(1)


class Digits(kserve.Model):
    def load(self):
        self.network = torch.jit.load("model.pt").eval()
        self.ready = True
        return True

    async def predict(self, payload, headers=None, response_headers=None):
        pixels = np.ascontiguousarray(payload.inputs[0].as_numpy())
        with torch.inference_mode():
            answer = self.network(torch.from_numpy(pixels).float().reshape(SHAPE)).numpy()
        output = kserve.InferOutput(name="probabilities", datatype="FP32", shape=list(answer.shape))
        output.set_data_from_numpy(answer, binary_data=False)
        return kserve.InferResponse(
            model_name=self.name, infer_outputs=[output], response_id=payload.id or "one"
        )


digits = Digits("digits")
digits.load()
kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False, workers=1, access_log_format=None).start(
    [digits]
)
