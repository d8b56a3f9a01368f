"""The command `pack`. What it needs beside the other commands is imported when it is called: `marina[pack]`."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from marina import printing
from marina.commands import AsJson
from marina.commands import app as app
from marina.errors import Failure, WrongUse
from marina.names import checked_name

MAX_LABELS_BYTES = 10 * 1024 * 1024


@app.command()
def pack(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="TorchScript, .pt2, safetensors, weights, .skops or .onnx.")
    ],
    example: Annotated[
        Path,
        typer.Option("--example", "-x", help="An image, .npy, .npz, .json, .csv with a header, or .txt."),
    ],
    labels: Annotated[
        str, typer.Option(help="Names of the classes: a,b,c or a file with one a line or JSON.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="By default that of the file.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="By default NAME.mar.")] = None,
    network: Annotated[
        Path | None, typer.Option(help="For weights: a Python file whose class Network takes no arguments.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="For a network that takes numbers of tokens: tokenizer.json.")
    ] = None,
    tokens: Annotated[
        int,
        typer.Option(
            min=1, max=100_000, help="How many tokens of a text it takes, where that file does not say it."
        ),
    ] = 512,
    batch: Annotated[
        str | None, typer.Option(help="first: the example's first dimension is the batch; none: it has none.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="WIDTHxHEIGHT that an image model gets; by default the example's.")
    ] = "",
    channels: Annotated[int | None, typer.Option(help="1 or 3; by default what the model takes.")] = None,
    mean: Annotated[
        str, typer.Option(help="Of pixels in 0..1, one or three numbers: 0.485,0.456,0.406")
    ] = "0",
    std: Annotated[str, typer.Option(help="By which they are divided: 0.229,0.224,0.225")] = "1",
    unit: Annotated[str, typer.Option(help="Of the number that the model gives.")] = "",
    task: Annotated[str, typer.Option(help="Models of one task are compared with each other.")] = "",
    trust: Annotated[list[str] | None, typer.Option(help="A type in a .skops that you trust.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column of the example that is no input.")] = None,
    ranges: Annotated[
        bool, typer.Option("--ranges", help="Take no values outside those in the example's file.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, max=86400, help="For each run of the model, in seconds.")
    ] = 300.0,
    as_json: AsJson = False,
) -> None:
    """Make an archive of a model file. It is written when it has answered the example as the model does."""
    try:
        from marina.packing.pack import Order, pack
        from marina.packing.signature import ImageOptions
    except ImportError as error:
        raise Failure(f"packing needs {error.name or 'more packages'}: install marina[pack]") from error
    chosen = checked_name(
        name or _name_of(file), f"{name or file.stem!r} is no name for a model: name one by --name"
    )
    if batch not in (None, "first", "none"):
        raise WrongUse(f"--batch is first or none, not {batch}")
    if channels not in (None, 1, 3):
        raise WrongUse(f"--channels is 1 or 3, not {channels}")
    image = ImageOptions(_size(size), channels, _numbers("--mean", mean), _numbers("--std", std))
    order = Order(
        model=file,
        example=example,
        name=chosen,
        labels=_labels(labels),
        network=network,
        tokenizer=tokenizer,
        tokens=tokens,
        batch=batch,
        unit=unit,
        task=task,
        trusted=trust or [],
        dropped=drop or [],
        ranges=ranges,
        image=image,
        seconds=timeout,
    )
    with printing.Waiting(lines=False) as waiting:
        waiting.show(f"packing {file.name}")
        packed = pack(order, output or Path(f"{chosen}.mar"))
    if as_json:
        return printing.tell_json({"path": str(packed.path), "batch": packed.batch, **packed.spec})
    printing.tell_signature(packed.spec, packed.batch)
    printing.tell(
        f"{packed.path}: loaded in {packed.seconds:.1f} s and answered the example as the model does"
    )
    return printing.tell(f"next: marina push {packed.path}")


def _name_of(file: Path) -> str:
    """A name from that of a file: resnet18_v2.pt -> resnet18-v2."""
    return re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:40].rstrip("-")


def _labels(given: str) -> list[str]:
    """Names with commas between, or those of a file. Raises WrongUse."""
    if not given:
        return []
    path = Path(given)
    if not path.is_file():
        found: Any = [one.strip() for one in given.split(",")]
    else:
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(MAX_LABELS_BYTES)
            found = json.loads(text) if path.suffix.lower() == ".json" else text.split("\n")
        except (OSError, ValueError) as error:
            raise WrongUse(f"{path} cannot be read as labels: write one a line, or JSON") from error
    if isinstance(found, dict):  # as torch-model-archiver's index_to_name.json
        pairs = [found.get(str(at)) for at in range(len(found))]
        found = [pair[-1] if isinstance(pair, list) and pair else pair for pair in pairs]
    labels = found if isinstance(found, list) else []
    labels = [str(one).strip() for one in labels if one is not None and str(one).strip()]
    if not labels or len(set(labels)) < len(labels):
        raise WrongUse("--labels names no class, or one twice: write each class once")
    return labels


def _size(given: str) -> tuple[int, int] | None:
    if not given:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", given)
    if found is None:
        raise WrongUse(f"--size is WIDTHxHEIGHT, such as 224x224, not {given}")
    return int(found[1]), int(found[2])


def _numbers(option: str, given: str) -> tuple[float, ...]:
    is_good: Callable[[float], bool] = (
        math.isfinite if option == "--mean" else (lambda one: 0 < one < math.inf)
    )
    try:
        numbers = tuple(float(one) for one in given.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(map(is_good, numbers)):
        raise WrongUse(f"{option} is one number or three with commas between, not {given}")
    return numbers
