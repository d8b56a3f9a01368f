"""Two convolutions and two dense layers: about 1.2 million weights, most of them in the first dense layer."""

import torch
from torch import nn


class Network(nn.Module):
    """float32 [n, 1, 28, 28] in 0..1 to logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.classes = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classes(self.features(images))
        return logits
