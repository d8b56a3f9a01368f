"""ResNet-18 as He et al. describe it (arXiv 1512.03385): 11.7 million weights, 1,000 classes."""

import torch
from torch import nn


def normed(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    """A convolution with batch normalisation behind it."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions, and the way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            normed(inputs, outputs, 3, stride), nn.ReLU(), normed(outputs, outputs, 3, 1)
        )
        self.around = normed(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layers(values) + self.around(values))


class Network(nn.Module):
    """float32 [n, 3, 224, 224] to logits [n, 1000]."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [normed(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        for inputs, outputs in ((64, 64), (64, 128), (128, 256), (256, 512)):
            blocks += [Block(inputs, outputs, 1 if inputs == outputs else 2), Block(outputs, outputs, 1)]
        self.features = nn.Sequential(*blocks)
        self.classes = nn.Linear(512, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classes(self.features(images).mean((2, 3)))
        return logits
