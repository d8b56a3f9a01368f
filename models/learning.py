"""Trains one network on the CPU. The same model spec, digits and PyTorch give the same bytes of weights."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from digits import Digits
from experiments import Experiment
from serving_runtime.archive.model_spec import ModelSpec, Parameter
from serving_runtime.starter.predictor import load_network
from serving_runtime.starter.preprocess import to_network

# Sums over two threads are added in another order than over one: the number is part of the result.
THREADS = 2
PARAMETERS = ("learning_rate", "momentum", "batch_size", "epochs", "shift")


@dataclass(frozen=True)
class Settings:
    """What the parameters of a model spec mean to the trainer.

    Stochastic gradient descent whose steps get smaller evenly, from `learning_rate` to 0. Each batch is moved by up
    to `shift` pixels in each direction, so that the network does not learn places by heart.
    """

    learning_rate: float
    momentum: float
    batch_size: int
    epochs: int
    shift: int = 0


@dataclass(frozen=True)
class Learned:
    """Weights as the bytes of a safetensors file; curves by name: steps counted from 1, and values."""

    weights: bytes
    curves: dict[str, dict[str, list[float]]]
    metrics: dict[str, float]


def settings(spec: ModelSpec) -> Settings:
    """Read the parameters of a model spec. Raises ValueError for one that is missing, unknown or out of range."""
    given = spec.parameters
    unknown = sorted(set(given) - set(PARAMETERS))
    if unknown:
        raise ValueError(f"{spec.name}: the trainer knows no parameter {unknown[0]!r}; it knows {PARAMETERS}")
    return Settings(
        learning_rate=_number(spec, "learning_rate", lambda value: 0 < value <= 100),
        momentum=_number(spec, "momentum", lambda value: 0 <= value < 1),
        batch_size=int(_number(spec, "batch_size", lambda value: value >= 1 and value == int(value))),
        epochs=int(_number(spec, "epochs", lambda value: value >= 1 and value == int(value))),
        shift=int(_number(spec, "shift", lambda value: 0 <= value <= 4 and value == int(value), absent=0)),
    )


def learn(
    experiment: Experiment, train: Digits, test: Digits, on_step: Callable[[float], Any] = lambda _: None
) -> Learned:
    """Train, and measure on the held-out digits after each epoch; `on_step` gets each batch's loss.

    Raises ValueError if the parameters are wrong or the loss stops being a number.
    """
    how = settings(experiment.spec)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(experiment.spec.seed)
    network = load_network(experiment.network)
    optimizer = torch.optim.SGD(network.parameters(), how.learning_rate, how.momentum)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps(experiment.spec, len(train)))
    curves: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"steps": [], "values": []})

    def note(name: str, step: int, value: float) -> None:
        curves[name]["steps"].append(step)
        curves[name]["values"].append(round(value, 6))

    for step, (images, labels, last) in enumerate(_batches(train, how, experiment.spec.seed), start=1):
        logits = network(images)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        if not math.isfinite(loss.item()):
            raise ValueError(
                f"{experiment.spec.name}: the loss is {loss.item()} at step {step}; learn slower"
            )
        note("loss", step, loss.item())
        note("accuracy", step, _share_right(logits, labels))
        if last:
            note("test_accuracy", step, _held_out(network, test)["test_accuracy"])
        on_step(loss.item())
    return Learned(save(network.state_dict()), dict(curves), _held_out(network, test))


def steps(spec: ModelSpec, count: int) -> int:
    """How many steps the training takes with `count` digits to train on."""
    how = settings(spec)
    return how.epochs * math.ceil(count / how.batch_size)


def _batches(digits: Digits, how: Settings, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, bool]]:
    """Images, labels, and whether the epoch ends, in an order that only the seed decides."""
    images, labels = _tensors(digits)
    shuffle = torch.Generator().manual_seed(seed)
    for _ in range(how.epochs):
        order = torch.randperm(len(digits), generator=shuffle)
        for start in range(0, len(digits), how.batch_size):
            chosen = order[start : start + how.batch_size]
            by = torch.randint(-how.shift, how.shift + 1, (2,), generator=shuffle).tolist()
            # The border of a digit is empty: what leaves on one side and comes back on the other is nothing.
            moved = torch.roll(images[chosen], by, (2, 3))
            yield moved, labels[chosen], start + how.batch_size >= len(digits)


def _held_out(network: nn.Module, digits: Digits) -> dict[str, float]:
    images, labels = _tensors(digits)
    with torch.inference_mode():
        network.eval()
        logits = torch.cat([network(part) for part in images.split(250)])
        network.train()
    loss = nn.functional.cross_entropy(logits, labels).item()
    return {"test_accuracy": _share_right(logits, labels), "test_loss": round(loss, 6)}


def _tensors(digits: Digits) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(to_network(digits.images)).unsqueeze(1), torch.from_numpy(digits.labels)


def _share_right(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return round((logits.argmax(1) == labels).float().mean().item(), 6)


def _number(spec: ModelSpec, key: str, fits: Callable[[float], bool], absent: float | None = None) -> float:
    value: Parameter | None = spec.parameters.get(key, absent)
    if isinstance(value, bool | str) or value is None or not fits(value):
        raise ValueError(f"{spec.name}: the parameter {key} is missing or cannot be {value!r}")
    return value
