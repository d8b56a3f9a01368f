"""Where one can go from every page: the navigation's entries in their order, of those pages that there are."""

from collections.abc import Collection
from dataclasses import dataclass

# Label -> address, and the addresses that belong to it.
ENTRIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Try", "/", ()),
    ("Experiments", "/experiments", ("/experiment", "/compare", "/imports", "/import")),
    ("Deployments", "/deployments", ("/deployment",)),
    ("Models", "/models", ("/version",)),
    ("Aliases", "/aliases", ("/alias",)),
    ("Predictions", "/predictions", ("/prediction",)),
    ("Label", "/label", ()),
    ("Evidence", "/evidence", ("/scores",)),
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


def entries(known: Collection[str], path: str) -> list[Entry]:
    """The entries whose pages are known, as seen from a page."""
    found = [entry for entry in ENTRIES if entry[1] in known]
    return [
        Entry(label, address, path == address or path in below, place >= ON_PHONES)
        for place, (label, address, below) in enumerate(found)
    ]
