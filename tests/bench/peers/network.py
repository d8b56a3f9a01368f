"""Writes `model.pt`: a network with random weights, traced, with probabilities as its answer.

python network.py NETWORK.py model.pt DIVISOR, by which inputs are divided; shape.json is what it gets
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch


class Probabilities(torch.nn.Module):
    def __init__(self, network, divisor):
        super().__init__()
        self.network, self.divisor = network, divisor

    def forward(self, inputs):
        given = inputs if self.divisor == 1 else inputs / self.divisor
        return torch.softmax(self.network(given), 1)


spec = importlib.util.spec_from_file_location("network", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
torch.manual_seed(0)
model = Probabilities(module.Network(), float(sys.argv[3])).eval()
_, *shape = json.loads(Path("shape.json").read_text())
torch.jit.trace(model, torch.zeros(1, *shape)).save(sys.argv[2])
