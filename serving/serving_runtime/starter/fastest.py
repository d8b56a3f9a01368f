"""Finds the fastest equal variant of a network for each batch size.

A frozen copy lies in every archive that we build: it needs PyTorch only.
"""

import bisect
import copy
import time
import warnings
from typing import cast

import torch

# Batch sizes whose fastest variant is measured; other sizes take that of the next larger one.
MEASURED_SIZES = (1, 4, 16)
TOLERANCE = 1e-5
_ROUNDING = 1e-6  # of numbers far above 1, which float32 rounds more coarsely
_FEW_CHANNELS = 8
_WARM_RUNS, _TIMED_RUNS = 3, 5  # PyTorch's JIT rewrites a variant during its first runs

_TracerWarning: type[Warning] = torch.jit.TracerWarning  # type: ignore[attr-defined]

_Variant = torch.nn.Module


def optimised(
    network: _Variant, example: torch.Tensor, sizes: tuple[int, ...] = MEASURED_SIZES
) -> list[_Variant]:
    """For each of these batch sizes the fastest variant that gives the network's own answers.

    `example` is one row [1, ...] of what it gets; numbers are tried from 0 to 1, whole numbers in other orders.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        # PyTorch announces that the JIT will go; the version that is locked has it, and it needs no compiler.
        warnings.simplefilter("ignore")
        variants = _variants(network, example)
        random = torch.Generator().manual_seed(0)
        fastest = []
        for size in sizes:
            probe = _probe(example, size, random)
            expected = network(probe)
            equal = [variant for variant in variants if _is_equal(variant, probe, expected)]
            times = _seconds(equal, probe)
            fastest.append(equal[times.index(min(times))])
        # Each batch size pays once for its own kernels: better now than with a user's request.
        for size in range(1, sizes[-1] + 1):
            fastest[bisect.bisect_left(sizes, size)](torch.cat([example] * size))
    return fastest


def _probe(example: torch.Tensor, size: int, random: torch.Generator) -> torch.Tensor:
    if example.is_floating_point():
        return torch.rand(size, *example.shape[1:], generator=random).to(example.dtype)
    return torch.cat([example.roll(at, -1) for at in range(size)])


def _variants(network: _Variant, example: torch.Tensor) -> list[_Variant]:
    """As it is; and traces that PyTorch has frozen: optimised, laid out by channels, and with other layers."""
    traced = _traced(network, example)
    if traced is None:
        return [network]
    by_channels = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fast = with_fast_layers(network)
    others = [_frozen(other, example) for other in (by_channels, fast, _by_columns(fast))]
    return [
        network,
        torch.jit.freeze(traced),
        torch.jit.optimize_for_inference(traced),
        *(other for other in others if other is not None),
    ]


def _frozen(variant: _Variant, example: torch.Tensor) -> _Variant | None:
    """None for one that cannot run: a network's code may ask its layers for what ours do not have."""
    try:
        traced = _traced(variant, example)
    except Exception:
        return None
    return None if traced is None else torch.jit.freeze(traced)


def _traced(variant: _Variant, example: torch.Tensor) -> torch.jit.ScriptModule | None:
    """None for a network whose steps depend on its input: a trace would be right for the example only."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        traced = torch.jit.trace(variant, example, check_trace=False)  # type: ignore[no-untyped-call]
    depends = any(issubclass(item.category, _TracerWarning) for item in complaints)
    return None if depends else cast(torch.jit.ScriptModule, traced)


def with_fast_layers(variant: _Variant) -> _Variant:
    """A copy of the variant, with its weights, that has a faster layer wherever there is one for the same result.

    Its results differ from the variant's by rounding only. An input must be one that the variant itself takes.
    """
    copied = _copied(variant)
    for name, layer in list(copied.named_modules()):
        if type(layer) is torch.nn.Conv2d and _WinogradConvolution.replaces(layer):
            copied.set_submodule(name, _WinogradConvolution(layer))
        elif type(layer) is torch.nn.MaxPool2d and _PairwisePool.replaces(layer):
            copied.set_submodule(name, _PairwisePool())
    for layers in copied.modules():
        if type(layers) is torch.nn.Sequential:
            _pool_first(layers)
    return copied


def _by_columns(variant: _Variant) -> _Variant:
    """A copy whose dense layers keep their weights in the order in which the product with a batch reads them."""
    copied = _copied(variant)
    for layer in copied.modules():
        if type(layer) is torch.nn.Linear:
            layer.weight = torch.nn.Parameter(layer.weight.t().contiguous().t(), requires_grad=False)
    return copied


def _copied(variant: _Variant) -> _Variant:
    """A copy that shares the weights."""
    return copy.deepcopy(variant, {id(weight): weight for weight in variant.parameters()})


def _pool_first(layers: torch.nn.Sequential) -> None:
    """The largest of four and then ReLU is ReLU and then the largest of four, with a quarter of the work."""
    for at in range(len(layers) - 1):
        if type(layers[at]) is torch.nn.ReLU and type(layers[at + 1]) is _PairwisePool:
            layers[at], layers[at + 1] = layers[at + 1], layers[at]


class _WinogradConvolution(torch.nn.Module):
    """A convolution by 3 x 3 with NNPACK, which multiplies a fifth as often (Winograd's F(6 x 6, 3 x 3))."""

    def __init__(self, layer: torch.nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.padding = cast(tuple[int, int], layer.padding)

    @staticmethod
    def replaces(layer: torch.nn.Conv2d) -> bool:
        """With few channels the sums before and after cost more than they save."""
        by_three = layer.kernel_size == (3, 3) and layer.stride == (1, 1) and layer.dilation == (1, 1)
        zeros_around = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        known: bool = torch.backends.nnpack.is_available()  # type: ignore[no-untyped-call]
        return known and by_three and zeros_around and layer.groups == 1 and layer.in_channels > _FEW_CHANNELS

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # No public name leads to it; where PyTorch has no NNPACK, `replaces` says no.
        return torch._nnpack_spatial_convolution(images, self.weight, self.bias, self.padding)  # noqa: SLF001


class _PairwisePool(torch.nn.Module):
    """The largest of each 2 x 2, without noting where it lay, which PyTorch's own layer does even for inference."""

    @staticmethod
    def replaces(layer: torch.nn.MaxPool2d) -> bool:
        by_two = layer.kernel_size in (2, (2, 2)) and layer.stride in (2, (2, 2))
        usual = layer.padding in (0, (0, 0)) and layer.dilation in (1, (1, 1))
        return by_two and usual and not layer.ceil_mode and not layer.return_indices

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # An odd last row or column belongs to no pair.
        rows = torch.maximum(images[..., :-1:2, :], images[..., 1::2, :])
        return torch.maximum(rows[..., :-1:2], rows[..., 1::2])


def _is_equal(variant: _Variant, probe: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether a variant gives the expected answers, also after the JIT has rewritten it."""
    return all(
        torch.allclose(variant(probe), expected, rtol=_ROUNDING, atol=TOLERANCE) for _ in range(_WARM_RUNS)
    )


def _seconds(variants: list[_Variant], probe: torch.Tensor) -> list[float]:
    """The least processor time of this thread for one run of each variant.

    In rounds, one run of each: what slows the machine down for a moment slows all of them down.
    """
    return [min(times) for times in zip(*(_round(variants, probe) for _ in range(_TIMED_RUNS)), strict=True)]


def _round(variants: list[_Variant], probe: torch.Tensor) -> list[float]:
    times = []
    for variant in variants:
        began = time.thread_time()
        variant(probe)
        times.append(time.thread_time() - began)
    return times
