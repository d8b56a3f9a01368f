"""Convolutions over the characters, and of each feature the strongest place: endings and groups of letters."""

import torch
from torch import nn


class Network(nn.Module):
    """int64 [n, 48], characters in 0..511, to logits [n, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(512, 24, padding_idx=0)
        self.features = nn.Sequential(nn.Conv1d(24, 128, 4, padding=2), nn.ReLU())
        self.classes = nn.Linear(128, 8)

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.features(self.characters(texts).transpose(1, 2))
        logits: torch.Tensor = self.classes(features.amax(2))
        return logits
