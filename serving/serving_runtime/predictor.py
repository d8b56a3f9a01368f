"""One loaded network: whole batches in, probabilities out. Knows neither HTTP nor TorchServe.

Used by the handler. A frozen copy lies in every archive that we build: it needs PyTorch, safetensors, PyYAML
and NumPy only.
"""

import bisect
import copy
import importlib.util
import time
import uuid
import warnings
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import yaml
from safetensors.torch import load_file

# Batch sizes whose fastest form is measured; other sizes take that of the next larger one.
MEASURED_SIZES = (1, 4, 16)
TOLERANCE = 1e-5
_WARM_RUNS, _TIMED_RUNS = 3, 5  # PyTorch's JIT rewrites a form during its first runs

_TracerWarning: type[Warning] = torch.jit.TracerWarning  # type: ignore[attr-defined]

Floats = npt.NDArray[np.float32]


class Predictor:
    """A network with its weights and the names of its classes."""

    def __init__(
        self, folder: Path, *, weights: str = "weights.safetensors", side: int = 28, fastest: bool = True
    ) -> None:
        """Load network.py (its class `Network`), the weights and the labels of model.yaml from `folder`.

        `fastest` looks for the fastest equal form of the network for each batch size; otherwise it runs as it is,
        whose answers are the same to the last bit each time. Raises OSError, ValueError, or what the network's own
        code raises.
        """
        network = load_network(folder / "network.py")
        network.load_state_dict(load_file(folder / weights))
        network.eval()
        card = yaml.safe_load((folder / "model.yaml").read_text("utf-8"))
        self.labels: tuple[str, ...] = tuple(card["labels"])
        self._forms = _fastest_forms(network, side) if fastest else [network] * len(MEASURED_SIZES)

    def predict(self, images: Floats) -> Floats:
        """Probabilities float32 [n, classes] of images float32 [n, height, width] in 0..1."""
        batch = torch.from_numpy(np.require(images, requirements=["C", "W"])).unsqueeze(1)
        form = self._forms[min(bisect.bisect_left(MEASURED_SIZES, len(images)), len(self._forms) - 1)]
        with torch.inference_mode():
            logits = form(batch)
            return cast(Floats, torch.softmax(logits, 1).numpy())


def load_network(path: Path) -> torch.nn.Module:
    """A new `Network()` of a Python file; the file is known to nobody else under its name."""
    name = f"marina_network_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(torch.nn.Module, module.Network())


_Form = torch.nn.Module


def _fastest_forms(network: torch.nn.Module, side: int) -> list[_Form]:
    """For each of MEASURED_SIZES the fastest form that gives the network's own probabilities."""
    with warnings.catch_warnings(), torch.inference_mode():
        # PyTorch announces that the JIT will go; the version that is locked has it, and it needs no compiler.
        warnings.simplefilter("ignore")
        forms = _forms(network, torch.zeros(1, 1, side, side))
        random = torch.Generator().manual_seed(0)
        fastest = []
        for size in MEASURED_SIZES:
            probe = torch.rand(size, 1, side, side, generator=random)
            expected = torch.softmax(network(probe), 1)
            equal = [form for form in forms if _is_equal(form, probe, expected)]
            times = [_seconds(form, probe) for form in equal]
            fastest.append(equal[times.index(min(times))])
        # Each batch size pays once for its own kernels: better now than with somebody's request.
        for size in range(1, MEASURED_SIZES[-1] + 1):
            fastest[bisect.bisect_left(MEASURED_SIZES, size)](torch.zeros(size, 1, side, side))
    return fastest


def _forms(network: torch.nn.Module, example: torch.Tensor) -> list[_Form]:
    """The network itself, and traces of it that PyTorch has frozen, laid out by channels, and optimised."""
    traced = _traced(network, example)
    if traced is None:
        return [network]
    by_channels = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    traced_by_channels = _traced(by_channels, example)
    assert traced_by_channels is not None
    return [
        network,
        torch.jit.freeze(traced),
        torch.jit.freeze(traced_by_channels),
        torch.jit.optimize_for_inference(traced),
    ]


def _traced(network: torch.nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule | None:
    """None for a network whose steps depend on its input: a trace would be right for the example only."""
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    depends = any(issubclass(item.category, _TracerWarning) for item in complaints)
    return None if depends else cast(torch.jit.ScriptModule, traced)


def _is_equal(form: _Form, probe: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether a form gives the expected probabilities, also after the JIT has rewritten it."""
    return all(
        torch.allclose(torch.softmax(form(probe), 1), expected, rtol=0, atol=TOLERANCE)
        for _ in range(_WARM_RUNS)
    )


def _seconds(form: _Form, probe: torch.Tensor) -> float:
    """The least processor time of this thread for one run; what other processes do does not count."""
    times = []
    for _ in range(_TIMED_RUNS):
        began = time.thread_time()
        form(probe)
        times.append(time.thread_time() - began)
    return min(times)
