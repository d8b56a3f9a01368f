"""From a model file and an example to an archive that has proved itself."""

import base64
import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from marina.api import one_line
from marina.errors import Failure, WrongUse
from marina.packing import beside, child, example, fitting, formats, signature
from marina.packing.beside import NETWORK, TOKENIZER
from marina.packing.example import Example
from marina.packing.formats import ModelFile
from marina.packing.signature import Candidate, ImageOptions
from serving_runtime import packed, starter
from serving_runtime.archive import mar
from serving_runtime.archive.errors import MarError

Array = npt.NDArray[Any]
Json = dict[str, Any]
CODE = {"skops": ["skops_model.py"], "onnx": ["onnx_model.py"]}
MAX_GOLDEN_ELEMENTS = 500_000


@dataclass(frozen=True)
class Order:
    """What is to be packed, and all that a model file and an example do not say by themselves."""

    model: Path
    example: Path
    name: str
    labels: list[str] = field(default_factory=list)
    network: Path | None = None
    tokenizer: Path | None = None
    tokens: int = 512
    """How many of a text's tokens are kept, where the tokenizer's file does not say it."""
    batch: str | None = None
    unit: str = ""
    task: str = ""
    trusted: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    """Columns of a table that the model does not take."""
    ranges: bool = False
    """Whether a table's values have to be within what the example's file shows."""
    image: ImageOptions = field(default_factory=ImageOptions)
    seconds: float = child.SECONDS


@dataclass(frozen=True)
class Packed:
    """A written archive: where it is, what it declares, and how long it took to load."""

    path: Path
    spec: Json
    batch: str
    seconds: float


def pack(order: Order, output: Path) -> Packed:
    """Find out how the model is called, write it down, let the archive prove itself, and only then put it in place.

    Raises Failure and WrongUse, each with what to do; then there is no `output`.
    """
    model = formats.recognise(order.model)
    beside.check_network(model, order.network)
    given = example.read(order.example).without(order.dropped)
    if not order.ranges:
        given = given.unbounded()
    beside.check_tokenizer(model, given, order.tokenizer)
    environment = model.environment or beside.environment_of(order.network, order.tokenizer)
    python = child.python_of(environment)
    options = signature.candidates(given, order.batch, order.image)
    with tempfile.TemporaryDirectory(prefix="marina-pack-") as folder:
        files = _model_files(model, order, Path(folder))
        chosen, found = _look(python, model, order, given, options, Path(folder))
        spec, packing, golden = _described(model, order, chosen, found)
        if environment:
            spec["environment"] = environment
        built = Path(folder) / "built.mar"
        try:
            mar.build(
                built,
                name=order.name,
                handler="handler.py",
                serialized_file=model.name,
                files={
                    **{name: Path(folder) / name for name in files},
                    **_code(model.form, with_tokens=order.tokenizer is not None),
                    "model.yaml": yaml.safe_dump(spec, sort_keys=False, allow_unicode=True).encode(),
                    "packing.json": json.dumps(packing, sort_keys=True).encode(),
                    "golden.json": json.dumps(golden, sort_keys=True, allow_nan=False).encode(),
                },
            )
        except MarError as error:
            raise Failure(f"the archive cannot be built: {one_line(str(error))}") from error
        seconds = _prove(python, built, order, Path(folder) / "trial")
        _place(built, output)
    return Packed(output, spec, str(found["batch"]), seconds)


def _model_files(model: ModelFile, order: Order, folder: Path) -> list[str]:
    """Copy what the archive gets of the user's files; weights of torch.save are rewritten by `look`."""
    names = [model.name]
    if model.form != "weights":
        shutil.copyfile(model.path, folder / model.name)
    if order.network:
        shutil.copyfile(order.network, folder / NETWORK)
        names.append(NETWORK)
    if order.tokenizer:
        shutil.copyfile(order.tokenizer, folder / TOKENIZER)
        names.append(TOKENIZER)
    return names


def _look(
    python: str, model: ModelFile, order: Order, given: Example, options: list[Candidate], folder: Path
) -> tuple[Candidate, Json]:
    """The candidate that the model takes, and what it gave for it. Raises Failure, WrongUse."""
    packing = _packing(model, order, batch="any")
    rows = []
    for at, one in enumerate(options):
        if one.row:
            np.savez(folder / f"row-{at}.npz", *one.row)
            rows.append(str(folder / f"row-{at}.npz"))
    request = {
        "command": "look",
        "rewritten": str(model.path.absolute()) if model.form == "weights" else None,
        "folder": str(folder),
        "packing": packing,
        "inputs": options[0].inputs,
        "candidates": rows,
    }
    answer = child.run(python, request, seconds=order.seconds)
    if "error" in answer:
        raise _unusable(model, answer["error"])
    found = answer["candidates"]
    able = [at for at, one in enumerate(found) if one["batch"] == "any"] or [
        at for at, one in enumerate(found) if one["batch"]
    ]
    if not able:
        raise fitting.not_taken(
            python, request, given, order.image, options[0], found[0]["error"], order.seconds
        )
    first = options[able[0]]
    if order.batch is None and first.is_unclear and _alike(first, [options[at] for at in able[1:]]):
        raise WrongUse(
            "the model takes the example with and without a batch dimension: say --batch first or none"
        )
    declared = answer["inputs"] if not first.row else first.inputs
    chosen = replace(first, inputs=declared)
    return chosen, {**found[able[0]], "classes": answer["classes"]}


def _alike(first: Candidate, others: list[Candidate]) -> bool:
    """Whether another one differs in its shapes only."""
    types = [one["datatype"] for one in first.inputs]
    return any([one["datatype"] for one in other.inputs] == types for other in others)


def _described(model: ModelFile, order: Order, chosen: Candidate, found: Json) -> tuple[Json, Json, Json]:
    """Model spec, packing.json and golden pair."""
    with np.load(found["results"]) as arrays:
        results = {name: arrays[name] for name in arrays.files}
    labels = _labels(order.labels, found["classes"])
    outputs, softmax, names = signature.outputs(results, found["texts"], labels, order.unit)
    inputs = [{**one, "shape": _shape(one)} for one in chosen.inputs]
    spec: Json = {"name": order.name, "inputs": inputs, "outputs": outputs}
    optional = {"labels": labels, "task": order.task}
    spec |= {key: value for key, value in optional.items() if value}
    packing = {
        **_packing(model, order, batch=found["batch"]),
        "softmax": softmax,
        "outputs": names,
        "image": chosen.image,
        "labels": labels,
        **({"tokens": found["tokens"]} if "tokens" in found else {}),
    }
    golden = {
        "request": {"inputs": _golden_inputs(chosen, order.example)},
        "response": {"outputs": signature.expected(results, found["texts"], labels, softmax, names)},
    }
    return spec, packing, golden


def _code(form: str, *, with_tokens: bool) -> dict[str, Path]:
    """The frozen code that goes with the model."""
    frozen = Path(packed.__file__).parent
    names = ["handler.py", "images.py", *CODE.get(form, ["torch_model.py"])]
    files = [frozen / name for name in (*names, *(["tokens.py"] if with_tokens else []))]
    if form not in CODE:
        files.append(Path(starter.__file__).with_name("fastest.py"))
    return {file.name: file for file in files}


def _packing(model: ModelFile, order: Order, *, batch: str) -> Json:
    return {
        # Weights of torch.save are safetensors from here on.
        "format": "state_dict" if model.form == "weights" else model.form,
        "file": model.name,
        "batch": batch,
        "softmax": None,
        "trusted": order.trusted,
        "labels": order.labels,
        **({"tokens": {"file": TOKENIZER, "most": order.tokens, "mask": True}} if order.tokenizer else {}),
    }


def _labels(given: list[str], classes: list[str] | None) -> list[str]:
    if given and classes and len(given) != len(classes):
        raise WrongUse(f"the model has {len(classes)} classes, and there are {len(given)} labels")
    return given or classes or []


def _shape(declared: Json) -> list[int]:
    return [-1, len(declared["columns"])] if declared.get("columns") else declared["shape"]


def _golden_inputs(chosen: Candidate, file: Path) -> list[Json]:
    """The example as a request of one row: pixels for an image, the file for a large one."""
    declared = chosen.inputs[0]
    match declared["kind"]:
        case "text":
            return [
                {"name": declared["name"], "datatype": "BYTES", "shape": [1], "data": [declared["example"]]}
            ]
        case "table" if declared["datatype"] == "BYTES":
            texts = [column.get("example", "") for column in declared["columns"]]
            return [{"name": declared["name"], "datatype": "BYTES", "shape": [1, len(texts)], "data": texts}]
        case "table":
            row = Example("table", columns=declared["columns"]).row[np.newaxis]
            return [signature.tensor(declared["name"], row)]
        case "image":
            if chosen.row[0].size > MAX_GOLDEN_ELEMENTS:
                data = [base64.b64encode(file.read_bytes()).decode()]
                parameters = {"content_type": "base64"}
                named = {"name": declared["name"], "datatype": "BYTES", "shape": [1]}
                return [{**named, "data": data, "parameters": parameters}]
            return [signature.tensor(declared["name"], signature.pixels(chosen))]
    pairs = zip(chosen.inputs, chosen.row, strict=True)
    return [signature.tensor(one["name"], row[np.newaxis]) for one, row in pairs]


def _prove(python: str, archive: Path, order: Order, folder: Path) -> float:
    """Load the archive in a new process as a server does, and compare its answer. Raises Failure."""
    request = {"command": "prove", "archive": str(archive), "folder": str(folder)}
    answer = child.run(python, request, seconds=order.seconds, SERVING_TORCH_THREADS="1")
    if "error" in answer:
        raise Failure(f"the packed model does not prove itself: {one_line(answer['error'])[:400]}")
    return float(answer["seconds"])


def _place(built: Path, output: Path) -> None:
    """Whole or not at all."""
    part = output.with_name(f".{output.name}.part")
    try:
        shutil.copyfile(built, part)
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Failure(f"{output} cannot be written: {error.strerror}") from error


def _unusable(model: ModelFile, reason: str) -> Failure:
    if reason == "pickled":
        return formats.pickled(model.path, model.classes)
    return Failure(f"{model.path} does not load: {one_line(reason)[:400]}")
