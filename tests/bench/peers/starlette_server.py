"""The least that a server can do: python starlette_server.py PORT"""

import json
import sys
from pathlib import Path

import numpy as np
import orjson
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

SHAPE = json.loads(Path("shape.json").read_text())  # of a batch, as the network gets it

torch.set_num_threads(1)
model = torch.jit.load("model.pt").eval()


async def infer(request):
    tensor = orjson.loads(await request.body())["inputs"][0]
    images = torch.from_numpy(np.array(tensor["data"], dtype=np.float32)).reshape(SHAPE)
    with torch.inference_mode():
        answer = model(images)
    output = {
        "name": "probabilities",
        "shape": list(answer.shape),
        "datatype": "FP32",
        "data": answer.flatten().tolist(),
    }
    return Response(
        orjson.dumps({"model_name": "digits", "outputs": [output]}), media_type="application/json"
    )


async def ready(_request):
    return Response()


app = Starlette(
    routes=[
        Route("/v2/models/digits/infer", infer, methods=["POST"]),
        Route("/v2/models/digits/ready", ready),
    ]
)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
