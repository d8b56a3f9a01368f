"""What would become of archives here, told without running them: for those who bring a folder of them.

    python -m serving_runtime.archive.check FOLDER|FILE... [--json]

Exit code 0 when all run here as they are, else 1.
"""

import argparse
import ast
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from serving_runtime import environments
from serving_runtime.archive import load_faults, mar, needs, syntax, weights, zip_reader
from serving_runtime.archive.errors import MarError
from serving_runtime.archive.manifest import file_of
from serving_runtime.archive.mar import MarInfo
from serving_runtime.contracts import BASE_ENVIRONMENT
from serving_runtime.environments import Environment

_IN_MEMORY = 64 * 1024**2
_LARGEST_SOURCE = 1024**2


@dataclass(frozen=True)
class Finding:
    """`outcome` is one of OUTCOMES; `text` says why, and what to do; `notes` are what differs from TorchServe."""

    file: str
    outcome: str
    text: str
    environment: str | None = None
    notes: tuple[str, ...] = ()


# Of one archive, and of several.
OUTCOMES = {
    "runs": ("runs as it is", "run as they are"),
    "environment": ("runs once its environment is here", "run once their environments are here"),
    "fails": (
        "would be stored, and fail when it is loaded",
        "would be stored, and fail when they are loaded",
    ),
    "rejected": ("would be rejected when it is uploaded", "would be rejected when they are uploaded"),
}


def check(path: Path, built: Mapping[str, Environment], known: Mapping[str, Environment]) -> Finding:
    """Judge one archive by the environments that are `built` here and those that are `known` how to build."""
    name = path.name
    try:
        info = mar.inspect(path)
        needed = needs.read(path, info)
        with path.open("rb") as file:
            entries = zip_reader.open_zip(file)
            code = _code(file, entries, info)
            fault = load_faults.of_code(code, info) or _fault_of_weights(file, entries, info)
    except MarError as error:
        return Finding(name, "rejected", f"{error.code}: {error}")
    except SyntaxError as error:
        return Finding(
            name, "fails", f"{file_of(info.handler)} line {error.lineno} is no Python: {error.msg}"
        )
    except OSError as error:
        return Finding(name, "rejected", f"it cannot be read: {error.strerror}")
    notes = tuple(load_faults.differences(code, info))
    if fault is not None:
        return Finding(name, "fails", fault, None, notes)
    named = info.spec.environment if info.spec is not None else ""
    if named:
        here, elsewhere = built.get(named), known.get(named)
    else:
        here, elsewhere = needs.smallest(needed, built.values()), needs.smallest(needed, known.values())
    if here is not None:
        return Finding(name, "runs", f"in the environment {here.name}", here.name, notes)
    if elsewhere is not None:
        return Finding(
            name, "environment", f"run {environments.command(elsewhere.name)}", elsewhere.name, notes
        )
    base = built[BASE_ENVIRONMENT]
    wants = f"named {named}" if named else f"with {', '.join(needed.missing(base)[:20])}"
    return Finding(name, "environment", f"make one of your own {wants} (docs/models.md)", None, notes)


def archives(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that are meant: those named, and the .mar files anywhere below a folder. Raises OSError."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.mar"))
        else:
            yield path


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m serving_runtime.archive.check",
        description="Say of each archive what would become of it here. None of them is run.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER|FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object for each archive and line")
    options = parser.parse_args(arguments)
    built = environments.built(Path(sys.prefix) / "environments")
    known = {**environments.known(), **built}
    found = []
    for path in archives(options.paths):
        finding = _checked(path, built, known)
        found.append(finding)
        sys.stdout.write(json.dumps(asdict(finding)) + "\n" if options.json else _lines(finding))
        sys.stdout.flush()
    if not options.json:
        counts = {outcome: sum(one.outcome == outcome for one in found) for outcome in OUTCOMES}
        said = [f"{count} {OUTCOMES[outcome][count > 1]}" for outcome, count in counts.items() if count]
        many = f"{len(found)} archive{'' if len(found) == 1 else 's'}"
        sys.stdout.write(f"{many}: {'; '.join(said) or 'nothing to check'}\n")
    return int(any(one.outcome != "runs" for one in found))


def _checked(path: Path, built: Mapping[str, Environment], known: Mapping[str, Environment]) -> Finding:
    """Whatever is in one archive does not keep the others from being judged."""
    try:
        return check(path, built, known)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return Finding(
            path.name, "rejected", f"it is damaged in a way that no reader here knows ({said[:200]})"
        )


def _lines(finding: Finding) -> str:
    notes = "".join(f"    {note}\n" for note in finding.notes)
    return f"{finding.outcome.upper():<12}{finding.file}: {finding.text}\n{notes}"


def _code(file: BinaryIO, entries: Mapping[str, zip_reader.Entry], info: MarInfo) -> ast.Module | None:
    """The syntax tree of the handler's file; None where the archive has none, or a long one. Raises SyntaxError."""
    entry = entries.get(file_of(info.handler))
    if entry is None or entry.size > _LARGEST_SOURCE:
        return None
    return syntax.parse(zip_reader.read(file, entry, _LARGEST_SOURCE))


def _fault_of_weights(file: BinaryIO, entries: Mapping[str, zip_reader.Entry], info: MarInfo) -> str | None:
    if info.stock is None or not info.stock.loads_model:
        return None  # only its author knows how it loads what
    name = info.manifest["model"].get("serializedFile")
    if name is None:
        return load_faults.of_weights(None, info)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as copy:
        for chunk in zip_reader.chunks(file, entries[name]):
            copy.write(chunk)
        copy.seek(0)
        return load_faults.of_weights(weights.read(copy, name), info)


if __name__ == "__main__":
    sys.exit(main())
