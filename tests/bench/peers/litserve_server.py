"""LitServe with its own batching: python litserve_server.py PORT"""

import json
import sys
from pathlib import Path

import litserve
import torch

SHAPE = json.loads(Path("shape.json").read_text())  # of a batch, as the network gets it


class Digits(litserve.LitAPI):
    def setup(self, device):
        torch.set_num_threads(1)
        self.network = torch.jit.load("model.pt").eval()

    def decode_request(self, request):
        return torch.tensor(request["inputs"][0]["data"], dtype=torch.float32).reshape(SHAPE)

    def batch(self, inputs):
        self.rows = [len(images) for images in inputs]
        return torch.cat(inputs)

    def predict(self, images):
        with torch.inference_mode():
            return self.network(images)

    def unbatch(self, output):
        return list(torch.split(output, self.rows))

    def encode_response(self, output):
        data = output.flatten().tolist()
        tensor = {"name": "probabilities", "shape": list(output.shape), "datatype": "FP32", "data": data}
        return {"model_name": "digits", "outputs": [tensor]}


if __name__ == "__main__":
    server = litserve.LitServer(
        Digits(max_batch_size=16, batch_timeout=0.002), accelerator="cpu", workers_per_device=1
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
