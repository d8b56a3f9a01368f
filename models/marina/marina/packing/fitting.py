"""Why a model does not take its example, and what would help; called by `pack`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from marina.api import one_line
from marina.errors import Failure
from marina.packing import child, signature
from marina.packing.example import Example
from marina.packing.signature import Candidate, ImageOptions

# Sides of the squares that networks are mostly trained with, the usual ones first.
SIDES = (224, 32, 64, 28, 128, 256, 96, 299, 48, 112, 160, 192, 227, 240, 320, 384, 448, 512)
Json = dict[str, Any]


def not_taken(
    python: str,
    request: Json,
    given: Example,
    options: ImageOptions,
    tried: Candidate,
    reason: str,
    seconds: float,
) -> Failure:
    """The error to raise for a model that raised `reason` for the example, first read as `tried`.

    For an image the usual sizes are tried, each as `request` asks `trial.look`.
    """
    said = f"(it said: {one_line(reason)[:300]})"
    what = "the model does not take the example"
    match given.kind:
        case "image":
            width, height = tried.inputs[0]["image"]["width"], tried.inputs[0]["image"]["height"]
            size = _size_taken(python, request, given, options, seconds) if options.size is None else None
            remedy = (
                f"it takes {size}: add --size {size}"
                if size
                else "name what it was trained with by --size WIDTHxHEIGHT and --channels 1 or 3"
            )
            return Failure(f"{what}, an image of {width}x{height} pixels: {remedy} {said}")
        case "table":
            count = len(given.columns)
            remedy = "give the columns that it was trained with, in their order; --drop NAME leaves one out"
            return Failure(f"{what}, a row of {count} column{'' if count == 1 else 's'}: {remedy} {said}")
        case "text" if request["packing"].get("tokens"):
            remedy = "give the tokenizer that it was trained with, and by --tokens how many tokens it takes"
            return Failure(f"{what}, the ids of a text's tokens: {remedy} {said}")
        case "text" if request["packing"]["format"] not in ("skops", "onnx"):
            remedy = "name the file that makes numbers of its words by --tokenizer tokenizer.json"
            return Failure(f"{what}, a list of texts: {remedy} {said}")
        case "text":
            return Failure(f"{what}, a text: {said}")
    shown = ", ".join(f"{one['name']} {one['datatype']} {one['shape'][1:]}" for one in tried.inputs)
    return Failure(
        f"{what}, one row of {shown}: give arrays of the shape and type that it was trained with {said}"
    )


def _size_taken(
    python: str, request: Json, given: Example, options: ImageOptions, seconds: float
) -> str | None:
    """The first of the usual sizes that the model takes, as --size has it."""
    folder = Path(request["folder"])
    files: list[str] = []
    sizes: list[str] = []
    for side in SIDES:
        for one in signature.candidates(given, None, replace(options, size=(side, side))):
            file = folder / f"size-{len(files)}.npz"
            np.savez(file, *one.row)
            files.append(str(file))
            sizes.append(f"{side}x{side}")
    try:
        answer = child.run(python, {**request, "candidates": files, "until_taken": True}, seconds=seconds)
    except Failure:  # it hangs, or ends its process: the first error says more
        return None
    found = answer.get("candidates", [])
    return next((size for one, size in zip(found, sizes, strict=False) if one["batch"]), None)
