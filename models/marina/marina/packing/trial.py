"""A process of its own that runs a model: `look` tries how it is called, `prove` loads an archive as a server does.

`child` starts it as a script, by the Python of the environment that the model needs, with a request in JSON.
The answer goes into a file: what the model prints is not part of it.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from serving_runtime.archive import mar
from serving_runtime.archive.manifest import read_manifest
from serving_runtime.models.self_test import SelfTest
from serving_runtime.packed.handler import load_model, numbers_of
from serving_runtime.worker import batches

Array = npt.NDArray[Any]
NESTED = ("state_dict", "model_state_dict", "model")
# How many rows the model takes at once, as `packing.json` says it.
WAYS = ("any", "one", "none")
# Rows of one batch may be rounded differently from one alone.
TOLERANCE = 1e-3


class Unusable(Exception):
    """The model cannot be used like this; the text says why."""


def main() -> int:
    """Answer one request; whatever the model raises is an answer, too."""
    request = json.load(sys.stdin)
    commands = {"look": look, "prove": prove}
    try:
        answer = commands[request["command"]](request)
    except Unusable as error:
        answer = {"error": str(error)}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    Path(request["answer"]).write_text(json.dumps(answer))
    return 0


def look(request: dict[str, Any]) -> dict[str, Any]:
    """Load the model of a folder, and call it with each candidate, an example of one row without a batch.

    For each: how many rows it takes at once, and what it gave for one, in a file; or why it cannot be called so. With
    `until_taken` those behind the first that it takes are left out.
    """
    folder, packing = Path(request["folder"]), request["packing"]
    if request["rewritten"]:
        _rewrite_weights(Path(request["rewritten"]), folder / packing["file"])
    inputs = request["inputs"]
    if packing["format"] == "skops":
        _require_trust(folder / packing["file"], packing["trusted"])
    try:
        model = load_model(folder, packing, inputs)
    except ValueError as error:  # in words already
        raise Unusable(str(error)) from error
    names = getattr(model, "features", None)
    if names is not None and inputs[0].get("columns"):
        _select(inputs[0], names)
    candidates: list[dict[str, Any]] = []
    for at, one in enumerate(request["candidates"]):
        candidates.append(_candidate(model, one, folder, at))
        if request.get("until_taken") and candidates[-1]["batch"]:
            break
    if inputs[0].get("columns") or inputs[0]["kind"] == "text":
        candidates = [_tokenized(model, inputs[0], folder)]
    return {"candidates": candidates, "classes": getattr(model, "classes", None), "inputs": inputs}


def prove(request: dict[str, Any]) -> dict[str, Any]:
    """Unpack an archive, load it as a worker does, and compare its answer to the golden request."""
    folder = Path(request["folder"])
    info = mar.unpack(Path(request["archive"]), folder)
    assert info.spec
    test = SelfTest(info.spec.inputs, info.spec.outputs, info.golden, has_spec=True)
    began = time.monotonic()
    adapter, wrong = batches.load(folder, read_manifest(folder))
    if adapter is None:
        raise Unusable(f"it does not load: {wrong}")
    test.check_first_answer(b"".join(batches.run_batch(adapter, b"".join(test.frame))))
    return {"seconds": time.monotonic() - began}


def _candidate(model: Any, file: str, folder: Path, at: int) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as arrays:
        return _try(model, [arrays[name] for name in arrays.files], folder, at)


def _tokenized(model: Any, declared: dict[str, Any], folder: Path) -> dict[str, Any]:
    """How the model takes this text or table; with a tokenizer, by ids and their mask or by ids alone."""
    row, tokens = [_row_of(declared)], getattr(model, "tokens", None)
    if tokens is None:
        return _try(model, row, folder, 0)
    tokens["mask"] = True
    tried = _try(model, row, folder, 0)
    if tried["batch"]:
        return {**tried, "tokens": tokens}
    tokens["mask"] = False
    # Where no mask says what is padding, a longer text beside it would change a text's answer.
    without = _try(model, row, folder, 0, WAYS[1:] if model.is_padded else WAYS)
    return {**without, "tokens": tokens} if without["batch"] else tried


def _try(model: Any, row: list[Array], folder: Path, at: int, ways: tuple[str, ...] = WAYS) -> dict[str, Any]:
    """The first of the ways in which the model takes this row."""
    reason = ""
    attempts = {"any": _any, "one": _one, "none": _none}
    for batch in ways:
        try:
            found = attempts[batch](model, row)
        except Exception as error:
            reason = reason or " ".join(f"{type(error).__name__}: {error}".split())
            continue
        file = folder / f"found-{at}.npz"
        texts = {name: [str(one) for one in value] for name, value in found.items() if value.dtype == object}
        np.savez(file, **{name: value for name, value in found.items() if name not in texts})  # type: ignore[arg-type]
        return {"batch": batch, "results": str(file), "texts": texts}
    return {"batch": None, "error": reason}


def _any(model: Any, row: list[Array]) -> dict[str, Array]:
    one, two = (model([np.stack([array] * rows) for array in row]) for rows in (1, 2))
    for name, value in one.items():
        other = two[name]
        if value.shape[:1] != (1,) or other.shape != (2, *value.shape[1:]):
            raise Unusable(f"for 1 and 2 rows it gives {list(value.shape)} and {list(other.shape)}")
        numbers = value.dtype.kind in "fiub"
        if numbers and not np.allclose(
            np.concatenate([value, value]), other, TOLERANCE, TOLERANCE, equal_nan=True
        ):
            raise Unusable("it gives another answer to a row in a batch than to the same row alone")
    return dict(one)


def _one(model: Any, row: list[Array]) -> dict[str, Array]:
    found = model([array[np.newaxis] for array in row])
    if any(value.shape[:1] != (1,) for value in found.values()):
        raise Unusable("its results have no batch dimension")
    return dict(found)


def _none(model: Any, row: list[Array]) -> dict[str, Array]:
    return {name: value[np.newaxis] for name, value in model(row).items()}


def _row_of(declared: dict[str, Any]) -> Array:
    """The example of a text or a table, without a batch."""
    if declared["kind"] == "text":
        text = np.empty((), dtype=object)
        text[()] = declared["example"]
        return text
    columns = declared["columns"]
    if declared["datatype"] == "BYTES":
        texts = np.array([[column.get("example", "") for column in columns]], dtype=object)
        found: Array = numbers_of(texts, columns)[0]
        return found
    values = [
        column["categories"].index(column["example"]) if "categories" in column else column["example"]
        for column in columns
    ]
    return np.array(values, np.float32)


def _select(declared: dict[str, Any], names: list[str]) -> None:
    """Keep the columns that the model was trained on, in its order. Raises Unusable."""
    by_name = {column["name"]: column for column in declared["columns"]}
    if missing := [name for name in names if name not in by_name]:
        raise Unusable(f"the example has no column {missing[0]!r}, which the model was trained on")
    declared["columns"] = [by_name[name] for name in names]


def _require_trust(file: Path, trusted: list[str]) -> None:
    import skops.io

    unknown = sorted(set(skops.io.get_untrusted_types(file=file)) - set(trusted))
    if unknown:
        named = " ".join(f"--trust {name}" for name in unknown[:5])
        raise Unusable(f"it has types that skops does not trust: if you do, say {named}")


def _rewrite_weights(source: Path, target: Path) -> None:
    """Write the weights of a file of torch.save as safetensors. Raises Unusable when it holds anything else."""
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of, it then rejects
            found = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise Unusable("pickled") from error
    for key in NESTED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise Unusable("pickled")
    save_file({str(name): one.detach().clone().contiguous() for name, one in found.items()}, target)


if __name__ == "__main__":
    sys.exit(main())
