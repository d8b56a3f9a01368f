"""The ratios that a run is measured by: our two runtimes beside the best of the other products, in the same run."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.kinds import BINARY_IMAGE, BINARY_PHOTO, JSON_IMAGE, JSON_PHOTO, JSON_ROW
from tests.bench.parts import Parts
from tests.bench.report import OURS, REFERENCE, Figures, Results

JSON, BINARY = JSON_IMAGE.name, BINARY_IMAGE.name
SERVERS = ("marina native", "marina torchserve")


@dataclass(frozen=True)
class Goal:
    """One ratio of a runtime of ours: to the best peer, or (`to_json`) to its own JSON rate."""

    server: str
    what: str
    kind: str
    clients: int
    limit: float
    at_most: bool = False
    to_json: bool = False
    against: tuple[str, ...] = ()
    """Kinds of requests to the others; empty for the same kind."""

    @property
    def value(self) -> Callable[[Figures], float]:
        """What is compared: the median latency where less is better, else the rate."""
        return (lambda found: found.p50) if self.at_most else (lambda found: found.rate)

    def ratio(self, results: Results) -> float | None:
        """None when this run did not measure both sides."""
        mine = results.median(self.server, self.kind, self.clients)
        other = self._other(results)
        return self.value(mine) / other if mine and other else None

    def alone(self, results: Results, parts: Parts | None) -> float | None:
        """The ratio if all but the model, in one worker, took no time; known of the starter CNN only."""
        other = self._other(results)
        if parts is None or other is None or self.kind not in (JSON, BINARY):
            return None
        return (parts.one_ms if self.at_most else parts.rate) / other

    def _other(self, results: Results) -> float | None:
        """What ours is compared with."""
        if self.to_json:
            (json,) = self.against or (JSON,)
            own = results.median(self.server, json, self.clients)
            return own.rate if own else None
        peers = [name for name in results.names if not name.startswith(OURS) and name != REFERENCE]
        kinds = self.against or (self.kind,)
        asked = (results.median(name, kind, self.clients) for name in peers for kind in kinds)
        found = [each for each in asked if each]
        return (min if self.at_most else max)(map(self.value, found)) if found else None


GOALS = tuple(
    goal
    for server, rate, latency in (("marina native", 3.5, 0.45), ("marina torchserve", 2.3, 1.0))
    for goal in (
        Goal(server, "requests/s of 32 JSON clients, best peer = 1", JSON, 32, rate),
        Goal(server, "p50 of one JSON client, best peer = 1", JSON, 1, latency, at_most=True),
        Goal(server, "requests/s of 32 binary clients, own JSON = 1", BINARY, 32, 1.5, to_json=True),
    )
)


def _of_photos(server: str, clients: int) -> list[Goal]:
    words = f"client{'s' * (clients > 1)}, resnet18"
    both = (JSON_PHOTO.name, BINARY_PHOTO.name)
    return [
        Goal(
            server,
            f"requests/s of {clients} binary {words}, own JSON = 1",
            BINARY_PHOTO.name,
            clients,
            3,
            to_json=True,
            against=(JSON_PHOTO.name,),
        ),
        Goal(server, f"requests/s of {clients} JSON {words}, best peer = 1", JSON_PHOTO.name, clients, 1.2),
        Goal(
            server,
            f"requests/s of {clients} binary {words}, best peer, JSON or binary = 1",
            BINARY_PHOTO.name,
            clients,
            1.2,
            against=both,
        ),
    ]


GOALS += tuple(goal for server in SERVERS for clients in (1, 8) for goal in _of_photos(server, clients))
GOALS += tuple(
    Goal(server, "requests/s of 32 JSON clients, a table, best peer = 1", JSON_ROW.name, 32, 3)
    for server in SERVERS
)


def table(results: Results, parts: Parts | None) -> list[str]:
    """The goals that this run has figures for, as lines of Markdown; empty when there are none."""
    lines = []
    for goal in GOALS:
        ratio = goal.ratio(results)
        alone = goal.alone(results, parts)
        if ratio is None:
            continue
        reached = ratio <= goal.limit if goal.at_most else ratio >= goal.limit
        limit = f"at {'most' if goal.at_most else 'least'} {goal.limit:g}"
        lines.append(
            f"| {goal.server} | {goal.what} | {limit} | {ratio:.2f} | {'yes' if reached else 'no'} | "
            + (f"{alone:.2f} |" if alone is not None else "– |")
        )
    head = [
        "| server | what | goal | here | reached | the model alone |",
        "| --- | --- | --- | ---: | --- | ---: |",
    ]
    foot = [
        "",
        "The model alone: the ratio if everything but the model in one worker took no time. It differs between",
        "processors: the longer the model takes, the less is left for a server to be better at.",
    ]
    return [*head, *lines, *foot] if lines else []
