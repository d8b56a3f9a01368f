"""What `make bench` found, as a Markdown document."""

import os
import platform
import re
import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

OURS = "marina"
REFERENCE = "starlette"  # no product: what the machine gives


@dataclass(frozen=True)
class Figures:
    """One measurement: requests a second, latencies in ms, processor seconds for 1,000 requests, share rejected."""

    rate: float
    p50: float
    p99: float
    cpu: float
    rejected: float = 0.0


def this_machine() -> str:
    """The machine that measured, in a few words."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8")
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    processor = f" ({named[1].strip()})" if named else ""
    return f"{os.cpu_count()} cores{processor}, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


class Results:
    """All measurements by server, kind of request and number of clients."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._figures: dict[tuple[str, str, int], list[Figures]] = {}
        self._memory: dict[str, list[int]] = {}

    def add(self, name: str, kind: str, clients: int, figures: Figures | None) -> None:
        """Remember one measurement; None is one that failed."""
        if figures is not None:
            self._figures.setdefault((name, kind, clients), []).append(figures)

    def add_memory(self, name: str, used: int) -> None:
        """Remember how many bytes a server had after its load."""
        self._memory.setdefault(name, []).append(used)

    def kinds(self) -> list[str]:
        """Kinds of requests in the order in which they were measured."""
        return list(dict.fromkeys(kind for _, kind, _ in self._figures))

    def clients(self, kind: str) -> list[int]:
        """Numbers of clients that a kind was measured with."""
        return sorted({clients for _, each, clients in self._figures if each == kind})

    def median(self, name: str, kind: str, clients: int) -> Figures | None:
        """Medians of all rounds; None when a server does not take such requests."""
        found = self._figures.get((name, kind, clients))
        if not found:
            return None
        return Figures(
            *(statistics.median(getattr(each, field.name) for each in found) for field in fields(Figures))
        )

    def memory(self, name: str) -> float | None:
        """Median of a server's memory in MB."""
        found = self._memory.get(name)
        return statistics.median(found) / 1e6 if found else None


def document(
    results: Results,
    versions: dict[str, str],
    machine: str,
    load: float,
    options: Sequence[str],
    sections: dict[str, list[str]],
) -> str:
    """The whole report; `sections` are further parts by their headings, the empty ones left out."""
    command = f"make bench BENCH={shlex.quote(shlex.join(options))}" if options else "make bench"
    parts = [
        "# Benchmarks",
        "",
        "Both runtimes compared with other Python model servers, in one run on one machine: the starter CNN (1.2 million weights),",
        "ResNet-18 (11.7 million) and the starter of a table, the same requests, the same client (wrk, one thread). Servers run one",
        "at a time in interleaved rounds; figures are medians.",
        f"`{command}` wrote this file. Other machines give other figures: compare the columns, not the days.",
        "Earlier figures, and the decisions they led to, are in [measurements.md](measurements.md).",
        "",
        f"Machine: {machine}; mean load before the last round ended {load:.1f}.",
        "Peers: "
        + ", ".join(versions.values())
        + f". `{REFERENCE}` is no product but a baseline: no validation,",
        "no batching, the model inside the request. A dash: the server does not support such requests.",
        "",
    ]
    for kind in results.kinds():
        parts += [f"## {kind}", "", *_table(results, kind), ""]
    parts += ["## Memory and CPU time", "", *_resources(results), ""]
    parts += ["## Where a peer is better", "", *(_losses(results) or ["Nowhere in this run."]), ""]
    for heading, lines in sections.items():
        parts += [f"## {heading}", "", *lines, ""] if lines else []
    return "\n".join(parts)


def _table(results: Results, kind: str) -> list[str]:
    clients = results.clients(kind)
    heads = [f"{count} client{'s' * (count > 1)}: req/s | p50 ms | p99 ms" for count in clients]
    lines = ["| server | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * 3 * len(clients)]
    for name in results.names:
        cells = []
        for count in clients:
            found = results.median(name, kind, count)
            cells += _cells(found) if found else ["–"] * 3
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _cells(found: Figures) -> list[str]:
    rejected = f" ({found.rejected:.0%} rejected)" if found.rejected else ""
    return [f"{found.rate:,.0f}{rejected}", f"{found.p50:.2f}", f"{found.p99:.2f}"]


def _resources(results: Results) -> list[str]:
    if not results.kinds():
        return []
    kind = results.kinds()[0]
    clients = [count for count in (1, 32) if count in results.clients(kind)]
    heads = [f"CPU s for 1,000 requests, {count} client{'s' * (count > 1)}" for count in clients]
    lines = [
        f"{kind}. Memory is that of all processes of a server; shared pages count once.",
        "",
        "| server | memory MB | " + " | ".join(heads) + " |",
        "| --- |" + " ---: |" * (1 + len(clients)),
    ]
    for name in results.names:
        memory = results.memory(name)
        cells = [f"{memory:,.0f}" if memory else "–"]
        for count in clients:
            found = results.median(name, kind, count)
            cells.append(f"{found.cpu:.2f}" if found else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _losses(results: Results) -> list[str]:
    """One line for each figure in which a peer beats one of ours."""
    ours = [name for name in results.names if name.startswith(OURS)]
    lines = []
    for kind in results.kinds():
        for count in results.clients(kind):
            for own in ours:
                mine = results.median(own, kind, count)
                for peer in (name for name in results.names if name not in ours):
                    theirs = results.median(peer, kind, count)
                    if mine and theirs and (theirs.rate > mine.rate or theirs.p50 < mine.p50):
                        lines.append(
                            f"- {kind}, {count} clients: {peer} has {theirs.rate:,.0f} requests/s at {theirs.p50:.2f} ms,"
                            f" {own} {mine.rate:,.0f} at {mine.p50:.2f} ms."
                        )
    return lines
