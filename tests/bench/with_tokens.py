"""v2 with bearer tokens beside v2 without: the same server twice, loaded in turn, in one run."""

import hashlib
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from tests.bench import bench, servers

CLIENTS = (1, 32)
LIMIT = 0.02
"""The most that tokens may cost, as a share of p50 and of requests per second."""
TOKEN = "mrn_" + "b" * 43
UNUSED = 1000  # more tokens that the server knows

Pair = tuple[bench.Result, bench.Result]
"""One measurement without tokens, and one with tokens right before or after it."""


class Comparison:
    """All pairs by server and number of clients."""

    limit = LIMIT
    heading = (
        f"JSON, 1 image a request, by a server that knows {UNUSED + 1:,} tokens. p50 and requests/s are within"
        f" {LIMIT:.0%} of those of the same server without."
    )

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, int], list[Pair]] = {}

    def add(self, name: str, clients: int, pair: Pair) -> None:
        """Remember a pair."""
        self._pairs.setdefault((name, clients), []).append(pair)

    def table(self) -> list[str]:
        """Medians as lines of Markdown, empty when nothing was measured; a ratio is the median of the pairs'."""
        if not self._pairs:
            return []
        return [
            self.heading,
            "",
            "| server | clients | p50 ms: without | with | ratio | req/s: without | with | ratio | reached |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
            *(self._line(name, clients, pairs) for (name, clients), pairs in self._pairs.items()),
        ]

    def _line(self, name: str, clients: int, pairs: list[Pair]) -> str:
        p50 = statistics.median(second.p50 / first.p50 for first, second in pairs)
        rate = statistics.median(second.rate / first.rate for first, second in pairs)
        lost = sum(result.errors for pair in pairs for result in pair)
        cells = [
            name + (f" ({lost} errors)" if lost else ""),
            str(clients),
            f"{statistics.median(first.p50 for first, _ in pairs):.2f}",
            f"{statistics.median(second.p50 for _, second in pairs):.2f}",
            f"{p50:.3f}",
            f"{statistics.median(first.rate for first, _ in pairs):,.0f}",
            f"{statistics.median(second.rate for _, second in pairs):,.0f}",
            f"{rate:.3f}",
            "yes" if p50 <= 1 + self.limit and rate >= 1 - self.limit and not lost else "no",
        ]
        return "| " + " | ".join(cells) + " |"


def measure(
    found: Comparison, name: str, without: servers.Running, *, rounds: int, seconds: int, folder: Path
) -> None:
    """Load a server without tokens and another of its kind with them."""
    own = folder / "with-tokens"
    own.mkdir(exist_ok=True)
    with servers.started(name, own, SERVING_TOKENS_FILE=str(_tokens(own))) as closed:
        # A server without tokens ignores it, so that both read the same bytes.
        in_turn(
            found,
            name,
            (without, closed),
            CLIENTS,
            rounds=rounds,
            seconds=seconds,
            folder=folder,
            token=TOKEN,
        )


def in_turn(
    found: Comparison,
    name: str,
    pair: tuple[servers.Running, servers.Running],
    clients: Sequence[int],
    *,
    rounds: int,
    seconds: int,
    folder: Path,
    token: str | None = None,
) -> None:
    """Load a server without something and another of its kind with it, in turn, twice in each round."""
    request = folder / "json-request"
    request.write_bytes(bench.body([1, 28, 28]))
    bench.measure(pair[1].url, clients=8, seconds=seconds, request=request, token=token)  # warm
    for round_ in range(2 * rounds):
        for count in clients:
            # Every other pair in the other order: a machine that slows down slows both down.
            order = pair if round_ % 2 == 0 else pair[::-1]
            results = [
                bench.measure(one.url, clients=count, seconds=seconds, request=request, token=token)
                for one in order
            ]
            first, second = results if round_ % 2 == 0 else reversed(results)
            found.add(name, count, (first, second))


def _tokens(folder: Path) -> Path:
    """A file with the hash of TOKEN and of many that nobody uses."""
    texts = [TOKEN, *(f"mrn_{index:043d}" for index in range(UNUSED))]
    tokens = [
        {
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "role": "annotator",
            "models": None,
            "expires_at": None,
        }
        for text in texts
    ]
    file = folder / "tokens.json"
    file.write_text(json.dumps({"tokens": tokens}))
    file.chmod(0o600)
    return file
