"""The table of docs/security.md: what the code of an archive tries, and which measures stop it.

python -m tests.serving.containment.table      does all acts on this machine, prints the table, and writes it as root
"""

import os
import platform
import sys
import tempfile
from pathlib import Path

from serving_runtime import landlock
from serving_runtime.contracts import RUNTIMES
from tests.serving.containment import acts, measures
from tests.serving.containment.scene import Scene, scene

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"
BEGIN, END = "<!-- containment: made by `make containment` -->", "<!-- end of containment -->"
HEAD = ("act", "without containment", *RUNTIMES, "stopped by each of these alone")


def rows(contained: Scene, uncontained: Scene, stopped: dict[str, list[str]]) -> list[str]:
    """The table's lines."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    for act in acts.ACTS:
        without = all(uncontained.answers[name]["acts"][act]["done"] for name in RUNTIMES)
        cells = [_word(contained.answers[name]["acts"][act]["done"]) for name in RUNTIMES]
        lines.append(_line([act, _word(without), *cells, ", ".join(stopped[act])]))
    return lines


def written() -> list[str]:
    """The lines of the table in the document."""
    text = DOCUMENT.read_text("utf-8")
    return [line for line in text.partition(BEGIN)[2].partition(END)[0].splitlines() if line.startswith("|")]


def main() -> int:
    """0 when every act is stopped in both runtimes."""
    with tempfile.TemporaryDirectory() as folder:
        with scene(Path(folder, "on"), SERVING_CONTAINMENT="auto") as contained:
            pass
        with scene(Path(folder, "off"), SERVING_CONTAINMENT="off") as uncontained:
            root = os.geteuid() == 0
            stopped = (
                measures.stopped_by(uncontained.in_reach_of("native"), Path(folder, "alone"))
                if root
                else {act: [] for act in acts.ACTS}
            )
    lines = rows(contained, uncontained, stopped)
    kernel = ".".join(platform.release().split(".")[:2])
    about = f"As {'root' if root else 'a normal user'} on Linux {kernel}, Landlock ABI {landlock.abi() or 'none'}:"
    table = "\n".join([about, "", *lines])
    sys.stdout.write(table + "\n")
    if root:
        before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", "utf-8")
    return int(any(end["done"] for name in RUNTIMES for end in contained.answers[name]["acts"].values()))


def _word(done: bool) -> str:
    return "done" if done else "stopped"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
