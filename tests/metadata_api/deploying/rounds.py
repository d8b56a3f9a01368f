"""The pace of the reconcile loop in tests: shorter intervals, and waiting for so many rounds."""

from fastapi import FastAPI

from metadata_api.deploying.intervals import Intervals
from tests.waiting import until

QUICK = Intervals(
    reconcile=0.05,
    longest_pause=0.1,
    watch_pause=0.02,
    longest_watch_pause=0.1,
    pods=0.1,
    retry=0.2,
)


def wait_for_rounds(app: FastAPI, count: int) -> None:
    """Return when the loop has begun, and so ended, that many more rounds, whatever came of them."""
    changed = app.state.components.deployer.changed
    clear = changed.clear
    begun: list[None] = []

    def counting() -> None:
        begun.append(None)
        clear()

    changed.clear = counting
    try:
        until(lambda: len(begun) > count, f"{count} rounds end", 30)
    finally:
        changed.clear = clear
