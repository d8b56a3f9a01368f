"""Counts of three characters in a row, each with a weight for each language: logistic regression."""

import torch
from torch import nn

BUCKETS = 4096


class Network(nn.Module):
    """int64 [n, 48], characters in 0..511, to logits [n, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Embedding(BUCKETS, 8)
        nn.init.zeros_(self.weights.weight)

    def forward(self, texts: torch.Tensor) -> torch.Tensor:
        # A space on each side, so that beginnings and endings are trigrams of their own.
        ends = torch.nn.functional.pad(texts, (1, 0))
        first, second, third = ends[:, :-2], ends[:, 1:-1], ends[:, 2:]
        found = (first * 7919 + second * 104729 + third * 31) % BUCKETS
        counted = (second != 0).unsqueeze(2)
        logits: torch.Tensor = (self.weights(found) * counted).sum(1)
        return logits
