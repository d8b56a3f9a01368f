"""A model of PyTorch from a packed file: TorchScript, torch.export, or weights with the file of their network.

Its frozen copy needs PyTorch, safetensors and `fastest.py` only, and `tokens.py` where a tokenizer makes numbers of
texts. Nothing is unpickled.
"""

import bisect
import importlib
import importlib.util
import inspect
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING or __package__:
    from ..starter.fastest import MEASURED_SIZES, optimised
else:  # in an unpacked archive
    from fastest import MEASURED_SIZES, optimised

Array = npt.NDArray[Any]
# Each variant that is tried has its own copy of some weights, and a large network gains little.
MAX_OPTIMISED_BYTES = 256 * 1024**2
RESULT = "output"
MEASURING_SECONDS = 15.0
# As many times as one row is run, in all, to measure about six variants for all batch sizes, or for one row alone.
RUNS_OF_ALL, RUNS_OF_ONE = 1200, 60


class TorchModel:
    """Arrays in the order of the network's arguments in, its results by name out.

    Of texts the network gets the ids of their tokens, and their mask where `packing["tokens"]` says so; without a
    tokenizer it gets the texts themselves, as a list.
    """

    def __init__(self, folder: Path, packing: dict[str, Any], threads: int) -> None:
        """Raises OSError, ValueError, or what PyTorch and the network's own code raise."""
        network = _loaded(folder / packing["file"], packing["format"], folder / "network.py")
        self._network: torch.nn.Module = _WithSoftmax(network, packing["softmax"])
        self._batch = packing["batch"]
        self._threads = threads
        self._sizes: tuple[int, ...] = (1,)
        self._variants: list[torch.nn.Module] = [self._network]
        self.tokens: dict[str, Any] | None = packing.get("tokens")
        self._tokenize: Callable[[list[str]], list[Array]] | None = None
        if self.tokens:
            prefix = f"{__package__}." if __package__ else ""
            code = importlib.import_module(f"{prefix}tokens")
            self._tokenize = code.Tokens(folder / self.tokens["file"], self.tokens["most"])

    def prepare(self, example: Callable[[], list[Array]]) -> None:
        """Look for the fastest equal variant for each number of rows, measured with what a request was like.

        `example` reads that, which takes time for a large one; it is called only where there is something to measure.
        """
        torch.set_num_threads(self._threads)
        weights = sum(weight.nbytes for weight in self._network.parameters())
        if self._batch != "any" or weights > MAX_OPTIMISED_BYTES or len(arrays := example()) != 1:
            return
        row = torch.from_numpy(np.array(arrays[0][:1], order="C"))
        sizes = self._affordable(row)
        if sizes:
            self._sizes, self._variants = sizes, optimised(self._network, row, sizes)

    def _affordable(self, row: torch.Tensor) -> tuple[int, ...]:
        """The batch sizes that can be measured in a few seconds; none for what is not one tensor of floats."""
        with torch.inference_mode():
            found = self._network(row)
            began = time.perf_counter()
            self._network(row)
            seconds = time.perf_counter() - began
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            return ()
        if seconds * RUNS_OF_ALL < MEASURING_SECONDS:
            return MEASURED_SIZES
        return (1,) if seconds * RUNS_OF_ONE < MEASURING_SECONDS else ()

    def __call__(self, arrays: list[Array]) -> dict[str, Array]:
        """The results as arrays. Raises ValueError for a result that is no array, and what the network raises."""
        rows = len(arrays[0]) if arrays[0].ndim else 1
        at = min(bisect.bisect_left(self._sizes, rows), len(self._sizes) - 1)
        given = self._of_texts(arrays[0]) if arrays[0].dtype == np.object_ else _tensors(arrays)
        with torch.inference_mode():
            found = self._variants[at](*given)
        return {name: _array(result) for name, result in _named(found)}

    @property
    def is_padded(self) -> bool:
        """Whether a text gets more tokens beside a longer one."""
        return self._tokenize is not None and not self._tokenize.is_fixed  # type: ignore[attr-defined]

    def _of_texts(self, texts: Array) -> list[Any]:
        """The arguments for texts, object [n] of str."""
        if self._tokenize is None or self.tokens is None:
            return [texts.tolist()]
        ids, mask = _tensors(self._tokenize(texts.tolist()))
        return [ids, mask] if self.tokens["mask"] else [ids]


class _WithSoftmax(torch.nn.Module):
    """The network, with softmax over the classes if the result of this name is logits."""

    def __init__(self, network: torch.nn.Module, softmax: str | None) -> None:
        super().__init__()
        self.network = network
        self.softmax = softmax
        # Of this module alone, as `eval` would go down to those that do not know it.
        self.training = False

    def forward(self, *inputs: Any) -> Any:
        found = self.network(*inputs)
        if not self.softmax:
            return found
        if isinstance(found, torch.Tensor):
            return torch.softmax(found, -1)
        return {name: torch.softmax(one, -1) if name == self.softmax else one for name, one in _named(found)}


def _loaded(path: Path, form: str, code: Path) -> torch.nn.Module:
    if form == "torchscript":
        scripted = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        return cast(torch.nn.Module, scripted.eval())
    if form == "export":
        # A module of an exported program knows neither train() nor eval(): it was exported as one of them.
        return cast(torch.nn.Module, torch.export.load(str(path)).module())
    from safetensors.torch import load_file

    network, weights = network_of(code), load_file(path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"the weights are not those of the class Network: {_difference(network.state_dict(), weights)}"
        ) from error
    return network.eval()


def network_of(path: Path) -> torch.nn.Module:
    """A new `Network()` of a Python file; under a name that no other module has. Raises ValueError."""
    name = f"marina_network_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "Network"):
        others = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, torch.nn.Module) and value.__module__ == name
        ]
        has = (
            f"but {', '.join(others)}: write Network = {others[-1]} at its end"
            if others
            else "which it needs"
        )
        raise ValueError(f"the file of the network has no class Network, {has}")
    required = [
        one.name
        for one in inspect.signature(module.Network).parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if required:
        raise ValueError(
            f"Network() needs {', '.join(required)}: give each of them a default value in its file"
        )
    return cast(torch.nn.Module, module.Network())


def _difference(wanted: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """The first few entries of one that the other has not, or has in another shape."""
    said = [f"{name} is missing" for name in wanted if name not in given]
    said += [f"{name} is of another network" for name in given if name not in wanted]
    said += [
        f"{name} has the shape {list(given[name].shape)} and not {list(one.shape)}"
        for name, one in wanted.items()
        if name in given and given[name].shape != one.shape
    ]
    return ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")


def _named(found: Any) -> list[tuple[str, Any]]:
    if isinstance(found, torch.Tensor):
        return [(RESULT, found)]
    if isinstance(found, Mapping):
        return [(str(key), value) for key, value in found.items()]
    if isinstance(found, list | tuple):
        return [(f"{RESULT}_{at}", value) for at, value in enumerate(found)]
    raise ValueError(f"the model gave a {type(found).__name__}, and not a tensor, a tuple or a dict of them")


def _tensors(arrays: list[Array]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(one, order="C")) for one in arrays]


def _array(result: Any) -> Array:
    if not isinstance(result, torch.Tensor):
        raise ValueError(f"the model gave a {type(result).__name__} where a tensor was expected")
    if result.dtype in (torch.bfloat16, torch.float16):  # JSON has neither
        result = result.float()
    return cast(Array, result.contiguous().numpy())
