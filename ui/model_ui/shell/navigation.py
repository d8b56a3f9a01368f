"""Where one can go from every page: the navigation's entries in their order."""

from dataclasses import dataclass

# Label -> address, and the addresses that belong to it.
ENTRIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Try", "/", ()),
    ("Experiments", "/experiments", ("/experiment", "/compare", "/imports", "/import")),
    ("Deployments", "/deployments", ("/deployment",)),
    ("Models", "/models", ("/version",)),
    ("Aliases", "/aliases", ("/alias",)),
    ("Predictions", "/predictions", ("/prediction", "/lineage")),
    ("Label", "/label", ()),
    ("Evidence", "/evidence", ("/scores", "/replays", "/replay")),
    ("Activity", "/activity", ()),
)
# So many fit into the bar of a phone, beside More.
ON_PHONES = 4


@dataclass(frozen=True)
class Entry:
    """One entry; `more` says that phones have it behind More."""

    label: str
    path: str
    current: bool
    more: bool


def entries(path: str) -> list[Entry]:
    """The entries as seen from a page."""
    return [
        Entry(label, address, path == address or path in below, place >= ON_PHONES)
        for place, (label, address, below) in enumerate(ENTRIES)
    ]
