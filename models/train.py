#!/usr/bin/env python3
"""Train experiments and pack each as a .mar file; skips those for which nothing has changed.

    python models/train.py cnn-baseline
    python models/train.py --all --out .marina/models

Each experiment gets a folder NAME in --out with NAME.mar, weights.safetensors, training.json and golden.json.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

import datasets
import digits
from datasets import STARTER, Dataset
from experiments import MODELS, Experiment, find, names
from serving_runtime.archive import mar

# The code that decides the archive beside the weights.
PACKED_FROM = (MODELS / "pack.py", Path(mar.__file__))
STAMP = "inputs.json"
UNCHANGED = "nothing has changed"
# How much less than others a training in the background gets of a busy processor: about a tenth.
YIELD = 10


def main(arguments: list[str] | None = None) -> int:
    """The command. 0 = all trained, 2 = one of them cannot be (the reason is on stderr)."""
    options = _parser().parse_args(arguments)
    if options.all + bool(options.names) != 1:
        _parser().error("name the experiments to train, or say --all")
    try:
        chosen = [find(name) for name in (names() if options.all else options.names)]
        if options.all:
            chosen.sort(key=lambda experiment: bool(experiment.spec.dataset))  # digits first
        _train(chosen, options)
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


def _train(chosen: list[Experiment], options: argparse.Namespace) -> None:
    """Train those that are missing or have changed, with a line before each and one after it."""
    data = {experiment.spec.name: datasets.find(experiment.spec) for experiment in chosen}
    work = {
        experiment.spec.name: what
        for experiment in chosen
        if (what := _work(experiment, data[experiment.spec.name], options))
    }
    if work and options.background:
        os.nice(YIELD)
    for experiment in chosen:
        name = experiment.spec.name
        folder = options.out / name
        if name not in work:
            if options.names:
                print(_unchanged(name, folder / f"{name}.mar"))
            continue
        line = f"{work[name]} {list(work).index(name) + 1} of {len(work)}: {name}"
        print(line, flush=True)
        if options.background:
            _write_whole(options.background, line)
        print(train(experiment, data[name], folder, force=options.force), flush=True)


def _work(experiment: Experiment, data: Dataset, options: argparse.Namespace) -> str:
    """What has to be done for an experiment, `training` or `packing`; empty when nothing has changed."""
    folder = options.out / experiment.spec.name
    keys = _keys(experiment, data)
    found = {} if options.force else _stamp(folder, folder / f"{experiment.spec.name}.mar")
    if found.items() >= keys.items():
        return ""
    return "packing" if found.get("weights") == keys["weights"] else "training"


def train(experiment: Experiment, data: Dataset, folder: Path, *, force: bool = False) -> str:
    """Train and pack what has changed since `folder` was written; one line that says what happened.

    Raises ValueError for a model spec that cannot be trained, OSError.
    """
    name = experiment.spec.name
    archive = folder / f"{name}.mar"
    keys = _keys(experiment, data)
    found = {} if force else _stamp(folder, archive)
    if found.items() >= keys.items():
        return _unchanged(name, archive)
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    if found.get("weights") == keys["weights"]:
        weights = (folder / "weights.safetensors").read_bytes()
        training = json.loads((folder / "training.json").read_bytes())
    else:
        weights, training = _learned(experiment, data)
    # Imports PyTorch, which takes seconds that a start with nothing to train must not spend; so does `learning`.
    from pack import pack

    example = data.test.first(5) if data.name == digits.NAME else data.test.inputs[0]
    info = pack(experiment, folder, weights=weights, training=training, data=data, example=example)
    (folder / STAMP).write_text(json.dumps(keys | {"mar": info.sha256}))
    seconds = time.monotonic() - begin
    return f"{name}: {_measured(training['metrics'], data)}, {seconds:.0f} s, {archive}"


def _unchanged(name: str, archive: Path) -> str:
    return f"{name}: {UNCHANGED}, {archive} stays"


def _write_whole(path: Path, text: str) -> None:
    """A reader finds the line of before or this one."""
    new = path.with_suffix(".new")
    new.write_text(f"{text}\n")
    os.replace(new, path)


def _measured(metrics: dict[str, float], data: Dataset) -> str:
    of = f"{len(data.test):,} held-out samples of {data.name}"
    if "test_accuracy" in metrics:
        return f"{metrics['test_accuracy']:.2%} of {of} right"
    return f"{metrics['test_mean_absolute_error']:.4g} off on average for {of}"


def _parser() -> argparse.ArgumentParser:
    home = Path(os.environ.get("MARINA_HOME") or MODELS.parent / ".marina")
    parser = argparse.ArgumentParser(description="Train experiments and pack each as a .mar file.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--all", action="store_true", help="train every experiment")
    parser.add_argument(
        "--background",
        type=Path,
        metavar="FILE",
        help="yield the processors to the system that runs beside, and keep in FILE what is being trained",
    )
    parser.add_argument("--force", action="store_true", help="train even if nothing has changed")
    parser.add_argument(
        "--out",
        "--output",
        type=Path,
        default=home / "models",
        metavar="DIR",
        help="gets a folder NAME for each experiment; default: %(default)s",
    )
    return parser


def _learned(experiment: Experiment, data: Dataset) -> tuple[bytes, dict[str, Any]]:
    import learning

    spec = experiment.spec
    total = learning.steps(spec, len(data.train))
    # On a terminal a bar; in a log file it would be thousands of lines.
    with tqdm(total=total, desc=spec.name, unit="step", disable=None) as bar:

        def show(loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        learned = learning.learn(experiment, data, show)
    return learned.weights, {
        "parameters": {"network": spec.network, **spec.parameters},
        "seed": spec.seed,
        "metrics": learned.metrics,
        "curves": learned.curves,
        "dataset": {
            "name": data.name,
            "sha256": data.sha256,
            "train": len(data.train),
            "test": len(data.test),
        },
        "torch": version("torch"),
    }


def _keys(experiment: Experiment, data: Dataset) -> dict[str, str]:
    spec = experiment.spec
    how = json.dumps([spec.network, spec.parameters, spec.seed], sort_keys=True)
    files = [experiment.network, MODELS / "learning.py"]
    weights = _digest(files, how, data.fingerprint, version("torch"))
    packed = [*PACKED_FROM, *(STARTER / file for file in data.frozen)]
    archive = _digest(packed, weights, experiment.spec_text.decode())
    return {"weights": weights, "archive": archive}


def _digest(files: Iterable[Path], *texts: str) -> str:
    parts = [*(mar.sha256_of(file) for file in files), *texts]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _stamp(folder: Path, archive: Path) -> dict[str, str]:
    """What the folder was made from, if the archive that was made is still the one there."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
        intact = isinstance(stamp, dict) and mar.sha256_of(archive) == stamp["mar"]
        return stamp if intact else {}
    except (OSError, ValueError, KeyError):
        return {}


if __name__ == "__main__":
    sys.exit(main())
