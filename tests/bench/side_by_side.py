"""Both runtimes beside other Python model servers: one machine, one network, one client; `make bench` calls it.

    make bench                                  everything, about half an hour; writes docs/benchmarks.md
    make bench BENCH="--only native,starlette --rounds 1 --clients 1,32 --out /tmp/figures.md"
    make bench BENCH="--kind resnet18 --rounds 1"   requests of one kind

Rounds are interleaved: each server is started, measured and stopped, then the next, then all again. A machine that
slows down slows everybody down; the tables show medians. Needs wrk.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.bench import bench, goals, parts, report, servers, through_api, with_recording, with_tokens
from tests.bench.kinds import DIGITS, KINDS, Kind
from tests.serving.starters import starter

CLIENTS = (1, 8, 32, 128)
PAIRS = 3  # in each round, of v2 through the API and of v2 with tokens
WARM_UP_SECONDS = 3  # Java compiles what it runs often


def measure(
    running: servers.Running, kind: Kind, clients: int, seconds: int, folder: Path
) -> report.Figures | None:
    """Load a server; None when it does not take such requests."""
    body, head = kind.request()
    file = folder / "request"
    file.write_bytes(body)
    before = running.cpu_seconds()
    try:
        result = bench.measure(
            running.url, clients=clients, seconds=seconds, request=file, header_length=head
        )
    except ValueError:
        return None
    used = running.cpu_seconds() - before
    answered = result.rate * seconds
    if result.errors >= answered:
        return None
    return report.Figures(
        result.rate - result.errors / seconds,
        result.p50,
        result.p99,
        used / answered * 1000,
        result.errors / answered,
    )


class Comparisons(NamedTuple):
    """Our servers beside themselves: through the API, and with tokens."""

    through: through_api.Comparison
    tokens: with_tokens.Comparison
    recording: with_recording.Comparison


def run(arguments: argparse.Namespace) -> tuple[report.Results, parts.Parts | None, Comparisons]:
    """All rounds of the servers, of the parts of a request, and of our servers beside themselves."""
    names = [*servers.OURS, *servers.COMMANDS]
    if arguments.only:
        chosen = arguments.only.split(",")
        names = [name for name in names if name in chosen or servers.OURS.get(name) in chosen]
    for name in names:
        if name in servers.COMMANDS:
            servers.prepare(name)
    results = report.Results(names)
    compared = Comparisons(through_api.Comparison(), with_tokens.Comparison(), with_recording.Comparison())
    kinds = [kind for kind in KINDS if (arguments.kind or "") in kind.name]
    models = list(dict.fromkeys(kind.model for kind in kinds))
    clients = {int(word) for word in arguments.clients.split(",")}
    found = []
    with tempfile.TemporaryDirectory(prefix="bench") as temporary:
        for round_ in range(arguments.rounds):
            for name, model in itertools.product(names, models):
                folder = Path(temporary) / f"{name}-{model.name}".replace(" ", "-")
                folder.mkdir(exist_ok=True)
                with servers.started(name, folder, model) as running:
                    own = [kind for kind in kinds if kind.model == model]
                    _measure_all(results, name, running, own, clients, arguments.seconds, folder)
                    if model != DIGITS:
                        continue
                    results.add_memory(name, running.memory())
                    if name in servers.OURS:
                        rounds = {"rounds": PAIRS, "seconds": arguments.seconds}
                        through_api.measure(compared.through, name, running, folder=folder, **rounds)
                        with_tokens.measure(compared.tokens, name, running, folder=folder, **rounds)
                        with_recording.measure(compared.recording, name, running, folder=folder, **rounds)
            if DIGITS in models:
                found.append(_parts())
            print(f"round {round_ + 1} of {arguments.rounds} done", file=sys.stderr, flush=True)
    return results, parts.summary(found) if found else None, compared


def _measure_all(
    results: report.Results,
    name: str,
    running: servers.Running,
    kinds: list[Kind],
    clients: set[int],
    seconds: int,
    folder: Path,
) -> None:
    for kind in kinds:
        if measure(running, kind, 8, WARM_UP_SECONDS, folder) is None:
            continue
        for count in sorted(clients.intersection(kind.clients)):
            results.add(name, kind.name, count, measure(running, kind, count, seconds, folder))


def _parts() -> parts.Microseconds:
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        archive = Path(folder, "digits.mar")
        starter(archive, "cnn-baseline")
        return parts.measure(archive, Path(folder, "unpacked"))


def main() -> int:
    """Measure, print the report, and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="servers, with commas: native, torchserve, or names of peers")
    parser.add_argument("--kind", help="requests whose name holds this text, as `JSON, 1 image`")
    parser.add_argument("--clients", default=",".join(map(str, CLIENTS)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="seconds for each figure")
    parser.add_argument("--out", type=Path, default=servers.ROOT / "docs" / "benchmarks.md")
    arguments = parser.parse_args()
    bench.require_wrk()
    results, found, compared = run(arguments)
    load = statistics.mean(os.getloadavg())
    sections = {
        "Goals": goals.table(results, found),
        "v2 through the API": compared.through.table(),
        "v2 with tokens": compared.tokens.table(),
        "v2 that is recorded": compared.recording.table(),
        "Where the time of a request goes": found.table if found else [],
    }
    text = report.document(results, servers.versions(), report.this_machine(), load, sys.argv[1:], sections)
    arguments.out.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
