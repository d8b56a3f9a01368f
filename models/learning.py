"""Trains one network on the CPU. The same model spec, data and PyTorch give the same bytes of weights."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from datasets import Dataset, Samples
from experiments import Experiment
from serving_runtime.archive.model_spec import ModelSpec, Parameter
from serving_runtime.starter.predictor import load_network

# Sums over two threads are added in another order than over one: the number is part of the result. Networks on rows and
# texts are so small that two threads would wait for each other most of the time.
IMAGE_THREADS, THREADS = 2, 1
PARAMETERS = ("learning_rate", "momentum", "batch_size", "epochs", "shift")


@dataclass(frozen=True)
class Settings:
    """What the parameters of a model spec mean to the trainer.

    Stochastic gradient descent whose steps get smaller evenly, from `learning_rate` to 0. Each batch of images is
    moved by up to `shift` pixels in each direction, so that the network does not learn places by heart.
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


def learn(experiment: Experiment, data: Dataset, on_step: Callable[[float], Any] = lambda _: None) -> Learned:
    """Train, and measure on the held-out samples after each epoch; `on_step` gets each batch's loss.

    Raises ValueError if the parameters are wrong or the loss stops being a number.
    """
    how = settings(experiment.spec)
    torch.set_num_threads(IMAGE_THREADS if experiment.spec.inputs[0].kind == "image" else THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(experiment.spec.seed)
    network = load_network(experiment.network)
    train, test = _tensors(data, data.train), _tensors(data, data.test)
    goal = CLASSES if experiment.spec.labels else _numbers(train[1])
    if (adapt := getattr(network, "adapt", None)) is not None:
        adapt(*train)
    optimizer = torch.optim.SGD(network.parameters(), how.learning_rate, how.momentum)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, steps(experiment.spec, len(data.train)))
    curves: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"steps": [], "values": []})

    def note(name: str, step: int, value: float) -> None:
        curves[name]["steps"].append(step)
        curves[name]["values"].append(round(value, 6))

    for step, (inputs, targets, last) in enumerate(_batches(*train, how, experiment.spec.seed), start=1):
        answers = network(inputs)
        loss = goal.loss(answers, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
        if not math.isfinite(loss.item()):
            raise ValueError(
                f"{experiment.spec.name}: the loss is {loss.item()} at step {step}; learn slower"
            )
        note("loss", step, loss.item())
        note(goal.metric, step, goal.measure(answers, targets))
        if last:
            note(f"test_{goal.metric}", step, _held_out(network, *test, goal)[f"test_{goal.metric}"])
        on_step(loss.item())
    return Learned(save(network.state_dict()), dict(curves), _held_out(network, *test, goal))


@dataclass(frozen=True)
class Goal:
    """What is made small, and how people measure it."""

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    metric: str
    measure: Callable[[torch.Tensor, torch.Tensor], float]


def _share_right(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return round((logits.argmax(1) == labels).float().mean().item(), 6)


CLASSES = Goal(nn.functional.cross_entropy, "accuracy", _share_right)


def _numbers(targets: torch.Tensor) -> Goal:
    """Numbers like these: the squared error as a share of their variance."""
    variance = targets.var()

    def loss(answers: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return nn.functional.mse_loss(answers[:, 0], wanted) / variance

    def measure(answers: torch.Tensor, wanted: torch.Tensor) -> float:
        return round((answers[:, 0] - wanted).abs().mean().item(), 6)

    return Goal(loss, "mean_absolute_error", measure)


def steps(spec: ModelSpec, count: int) -> int:
    """How many steps the training takes with `count` samples to train on."""
    how = settings(spec)
    return how.epochs * math.ceil(count / how.batch_size)


def _batches(
    inputs: torch.Tensor, targets: torch.Tensor, how: Settings, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, bool]]:
    """Inputs, targets, and whether the epoch ends, in an order that only the seed decides."""
    shuffle = torch.Generator().manual_seed(seed)
    for _ in range(how.epochs):
        order = torch.randperm(len(targets), generator=shuffle)
        for start in range(0, len(targets), how.batch_size):
            chosen = order[start : start + how.batch_size]
            batch = inputs[chosen]
            by = torch.randint(-how.shift, how.shift + 1, (2,), generator=shuffle).tolist()
            if how.shift:
                # The border of a digit is empty: what leaves on one side and comes back on the other is nothing.
                batch = torch.roll(batch, by, (2, 3))
            yield batch, targets[chosen], start + how.batch_size >= len(targets)


def _held_out(
    network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, goal: Goal
) -> dict[str, float]:
    with torch.inference_mode():
        network.eval()
        answers = torch.cat([network(part) for part in inputs.split(250)])
        network.train()
    loss = goal.loss(answers, targets).item()
    return {f"test_{goal.metric}": goal.measure(answers, targets), "test_loss": round(loss, 6)}


def _tensors(data: Dataset, samples: Samples) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(data.to_network(samples.inputs)), torch.from_numpy(samples.targets)


def _number(spec: ModelSpec, key: str, fits: Callable[[float], bool], absent: float | None = None) -> float:
    value: Parameter | None = spec.parameters.get(key, absent)
    if isinstance(value, bool | str) or value is None or not fits(value):
        raise ValueError(f"{spec.name}: the parameter {key} is missing or cannot be {value!r}")
    return value
