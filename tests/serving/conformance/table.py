"""The conformance of both runtimes as a document, written from what the tests of this folder did.

    python -m tests.serving.conformance.table            runs them all and writes docs/conformance.md: make conformance
    python -m tests.serving.conformance.table --check    runs none; fails when the document has other rows than they

Options that are not known here go to pytest. The exit status is 1 when a row is not passed, and the document is written
all the same.
"""

import argparse
import difflib
import sys
from collections.abc import Callable
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests.serving.conformance.rows import PASSED, Row, Suite

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "conformance.md"
KSERVE = Path(sys.prefix) / "kserve-client"
CLIENTS = {"tritonclient": Path(sys.prefix), "kserve": KSERVE, "schemathesis": Path(sys.prefix)}
# In the order of the document, each with what must be known to read its rows.
SECTIONS = {
    "Addresses": "NAME is a model, VERSION one of its versions. Each is requested with and without a trailing slash.",
    "Configuration, statistics, repository index": "In Triton's form, because its clients expect it.",
    "Inference in JSON": "",
    "Binary tensor data": "Tensors as raw bytes after the JSON.",
    "Datatypes": "Each with small and large values of its range, which must come back unchanged.",
    "Compression": "",
    "Errors": 'Each is `{"error": text, "code": code}` with Content-Type `application/json`.',
    "tritonclient.http.InferenceServerClient": "NVIDIA's client, blocking.",
    "tritonclient.http.aio.InferenceServerClient": "The same client, for asyncio.",
    "kserve.InferenceRESTClient": "KServe's client.",
    "OpenAPI": "The document that the front publishes, tested against the front by schemathesis.",
    "What is not supported": "Passed means: rejected immediately, in a way that clients can show.",
}

Cells = Callable[[Row, str], str]


def run(folder: Path, options: list[str]) -> tuple[int, Suite]:
    """Run the tests of a folder, or with `--collect-only` look at them; pytest's exit status and their rows."""
    suite = Suite(SECTIONS)
    # The settings are ours wherever the folder is.
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    return int(pytest.main([*settings, str(folder), *options], plugins=[suite])), suite


def document(suite: Suite, cells: Cells) -> str:
    """The whole document."""
    lines = [
        "# Conformance",
        "",
        "Which parts of the Open Inference Protocol v2 over REST the serving front supports, and what unmodified",
        "clients can do with it. Each row is the result of tests in `tests/serving/conformance` against a real front,",
        "once per runtime and once through the metadata API; `make conformance` wrote it. Decisions:",
        "[coverage](adr/0011-v2-protocol-coverage.md) and [clients](adr/0012-conformance-tests-with-real-clients.md).",
        "",
        f"Clients: {', '.join(map(' '.join, versions().items()))}.",
        *_totals(suite, cells),
        "",
    ]
    for section, about in SECTIONS.items():
        rows = [row for row in suite.rows if row.section == section]
        if rows:
            lines += [f"## {section}", "", *([about, ""] if about else [])]
            lines += [*_table(rows, suite.runtimes, cells), ""]
    return "\n".join(lines)


def cells_of(text: str) -> Cells:
    """What a document says about its rows."""
    found: dict[tuple[str, str, str], str] = {}
    section, runtimes = "", [""]
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| what | "):
            runtimes = [word for word in line.strip("| ").split(" | ")[1:] if word != "why"]
        elif line.startswith("| "):
            what, *rest = line.strip("| ").split(" | ")
            for runtime, cell in zip(runtimes, rest[-len(runtimes) :], strict=False):
                found[section, what, runtime] = cell
    return lambda row, runtime: found.get((row.section, row.text, runtime), "not in the document")


def versions() -> dict[str, str]:
    """The clients and their versions. Raises SystemExit when one is not installed."""
    found = {}
    for name, environment in CLIENTS.items():
        folders = [str(path) for path in environment.glob("lib/python*/site-packages")]
        installed = next(iter(Distribution.discover(name=name, path=folders)), None)
        if installed is None:
            raise SystemExit(f"{name} is not installed in {environment}: make install")
        found[name] = installed.version
    return found


def difference(old: str, new: str) -> str:
    """What must change in the old document, as a diff; empty when nothing must."""
    return "\n".join(
        difflib.unified_diff(old.splitlines(), new.splitlines(), "written", "tests", "", "", 0, "")
    )


def main(words: list[str] | None = None) -> int:
    """Write the document, or compare it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--check", action="store_true", help="run nothing; compare the rows")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    parser.add_argument("--suite", type=Path, default=Path(__file__).parent, help="folder with the tests")
    arguments, options = parser.parse_known_args(words)
    if arguments.check:
        return _check(arguments.suite, arguments.out, options)
    status, suite = run(arguments.suite, options)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return status  # broken off or never begun: what is known is not the suite
    arguments.out.write_text(document(suite, suite.cell))
    print("\n".join([f"wrote {arguments.out}", *_totals(suite, suite.cell)]))
    whole = all(suite.cell(row, runtime) == PASSED for row in suite.rows for runtime in suite.runtimes)
    return 0 if whole and status == pytest.ExitCode.OK else 1


def _check(folder: Path, out: Path, options: list[str]) -> int:
    status, suite = run(folder, ["--collect-only", "-qq", *options])
    if status != pytest.ExitCode.OK:
        return status
    written = out.read_text() if out.exists() else ""
    changed = difference(written, document(suite, cells_of(written)))
    if changed:
        print(f"{changed}\n{out} is not of these tests and clients: run `make conformance`", file=sys.stderr)
    return 1 if changed else 0


def _totals(suite: Suite, cells: Cells) -> list[str]:
    told = []
    for runtime in suite.runtimes:
        found = [cells(row, runtime) for row in suite.rows]
        counts = {word: found.count(word) for word in dict.fromkeys([PASSED, *sorted(found)])}
        told.append(f"{runtime} {', '.join(f'{count} {word}' for word, count in counts.items())}")
    return [f"{len(suite.rows)} rows: {'; '.join(told)}."]


def _table(rows: list[Row], runtimes: list[str], cells: Cells) -> list[str]:
    why = ["why"] if any(row.why for row in rows) else []
    heads = ["what", *why, *runtimes]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in rows:
        found = [row.text, *([row.why] if why else []), *(cells(row, runtime) for runtime in runtimes)]
        lines.append(f"| {' | '.join(found)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
