"""One hidden layer on all pixels: it has no idea of neighbouring pixels, and so of shapes."""

import torch
from torch import nn


class Network(nn.Module):
    """float32 [n, 3, 32, 32] in 0..1 to logits [n, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 128), nn.ReLU(), nn.Linear(128, 6))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(images)
        return logits
