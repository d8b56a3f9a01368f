"""The background task that makes desired deployments real and writes down what is observed of them.

`create_app` runs it for as long as the API lives. It depends on nothing that a request does: after any
outage the next round compares what is desired with what is there and goes on. Of several replicas the leader
changes and records; the others only look.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from metadata_api.database.session import Sessions
from metadata_api.deploying import helm, restores, rows, status
from metadata_api.deploying.base import Deployer, Observed
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deploying.intervals import DEFAULT, Intervals
from metadata_api.deploying.rows import Row
from metadata_api.deploying.status import Status
from metadata_api.errors import Unavailable
from metadata_api.metrics import Metrics

DEBOUNCE_SECONDS = 0.05
ROUND_SECONDS = 20.0
log = logging.getLogger(__name__)


async def run(
    sessions: Sessions,
    deployer: Deployer,
    release: HelmRelease,
    metrics: Metrics,
    leads: Callable[[], bool],
    intervals: Intervals = DEFAULT,
) -> None:
    """Reconcile until cancelled: again after an interval, at once after a change, more slowly while it fails."""
    pause, last = intervals.reconcile, ""
    while True:
        deployer.changed.clear()
        began = time.monotonic()
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                states = await _round(sessions, deployer, release, leads)
            pause, last = intervals.reconcile, ""
            if states is not None:
                metrics.count_round(time.monotonic() - began, failed=False)
            metrics.set_states(states or ())
        except Exception as error:
            metrics.count_round(time.monotonic() - began, failed=True)
            # The edge of the task: whatever went wrong, the next round may do better.
            pause = min(2 * pause, intervals.longest_pause)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            if reason != last:
                expected = isinstance(error, SQLAlchemyError | OSError | Unavailable)
                log.warning("deployments are not reconciled: %s", reason, exc_info=not expected)
            last = reason
        with suppress(TimeoutError):
            await asyncio.wait_for(deployer.changed.wait(), pause)
            # Changes come in swarms: one round for all of them.
            await asyncio.sleep(DEBOUNCE_SECONDS)


async def _round(
    sessions: Sessions, deployer: Deployer, release: HelmRelease, leads: Callable[[], bool]
) -> list[str] | None:
    """One comparison of desired and observed; the states of all deployments, None where another replica leads."""
    if not leads():
        # For what routes want to know of Helm's deployments.
        with suppress(Unavailable):
            await deployer.observe()
        return None
    # Threads of asyncio, not those that the routes share: a busy API must not hold this up.
    found, only = await asyncio.to_thread(_read, sessions)
    failure: Exception | None = None
    try:
        desired = [row.desired for row in found if row.is_running and row.owner == helm.API]
        undone = await deployer.apply(desired, only=only)
        if only is not None:
            await asyncio.to_thread(_withhold, sessions, undone)
    except Exception as error:
        # What runs now is worth writing down even when the desired state could not be passed on.
        failure = error
    try:
        observed = await deployer.observe()
    except Unavailable as error:
        statuses = {row.id: status.unknown(error.detail) for row in found}
    else:
        helms = {row.desired.name: row.desired for row in found if row.is_running and row.owner == helm.HELM}
        if not helm.is_in_sync(helms, release.deployments):
            found = await asyncio.to_thread(_follow_helm, sessions, release)
        statuses = {row.id: _status(row, observed, deployer) for row in found}
    changed = [(row, statuses[row.id]) for row in found if statuses[row.id] != row.status]
    if changed and leads():
        await asyncio.to_thread(_record, sessions, changed)
    if failure is not None:
        raise failure
    return [one.state for one in statuses.values()]


def _status(row: Row, observed: Mapping[str, Observed], deployer: Deployer) -> Status:
    desired = row.desired if row.is_running else None
    return status.against(desired, observed.get(row.desired.name), deployer.backend_name)


def _read(sessions: Sessions) -> tuple[list[Row], frozenset[str] | None]:
    """All rows, and those that somebody changed since a restore that nobody has confirmed; None without one."""
    with sessions() as session:
        return rows.read_all(session), restores.changed_since(session)


def _withhold(sessions: Sessions, undone: Sequence[str]) -> None:
    with sessions.begin() as session:
        restores.withhold(session, undone)


def _follow_helm(sessions: Sessions, release: HelmRelease) -> list[Row]:
    """All rows, once those of Helm say what its values say."""
    with sessions.begin() as session:
        helm.sync(session, release.deployments)
        return rows.read_all(session)


def _record(sessions: Sessions, changed: Sequence[tuple[Row, Status]]) -> None:
    with sessions.begin() as session:
        rows.write_statuses(session, changed)
