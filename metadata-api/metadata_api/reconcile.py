"""The background task that makes wanted deployments real and writes down what is seen of them.

`create_app` runs it for as long as the API lives. It depends on nothing that a request does: after any
outage the next round compares what is wanted with what is there and goes on.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from metadata_api.db import Sessions
from metadata_api.deploy import Deployer, Seen, State, Wanted
from metadata_api.errors import Unavailable
from metadata_api.store import Store
from metadata_api.tables import Deployment, DeploymentEvent, ModelVersion

INTERVAL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 2.0
ROUND_SECONDS = 20.0
ADVISORY_LOCK = 7_303_014_482
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    """A deployment as the database has it: what is wanted, and what was last written down."""

    name: str
    version: int
    sha256: str
    runtime: str
    replicas: int
    running: bool
    observed: tuple[State, int | None, str | None]


async def run(sessions: Sessions, deployer: Deployer, artifacts: Store) -> None:
    """Reconcile until cancelled: every half second, at once after a change, more slowly while it fails."""
    pause, last = INTERVAL_SECONDS, ""
    while True:
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await _round(sessions, deployer, artifacts)
            pause, last = INTERVAL_SECONDS, ""
        except Exception as error:
            # The edge of the task: whatever went wrong, the next round may do better.
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            if reason != last:
                expected = isinstance(error, SQLAlchemyError | OSError)
                log.warning("deployments are not reconciled: %s", reason, exc_info=not expected)
            last = reason
        with suppress(TimeoutError):
            await asyncio.wait_for(deployer.changed.wait(), pause)
        deployer.changed.clear()


async def _round(sessions: Sessions, deployer: Deployer, artifacts: Store) -> None:
    # Threads of asyncio, not those that the routes share: a busy API must not hold this up.
    rows = await asyncio.to_thread(_read, sessions)
    wanted = [
        Wanted(row.name, row.version, artifacts.path(row.sha256), row.sha256, row.runtime, row.replicas)
        for row in rows
        if row.running
    ]
    failure: Exception | None = None
    try:
        await deployer.apply(wanted)
    except Exception as error:
        # What runs now is worth writing down even when the wish could not be passed on.
        failure = error
    seen: Mapping[str, Seen] | str
    try:
        seen = await deployer.observe()
    except Unavailable as error:
        seen = error.detail
    if any(_judge(row, seen) != row.observed for row in rows):
        await asyncio.to_thread(_record, sessions, seen)
    if failure is not None:
        raise failure


def _judge(row: _Row, seen: Mapping[str, Seen] | str) -> tuple[State, int | None, str | None]:
    """State, answering version and reason of a deployment."""
    if isinstance(seen, str):
        return "unknown", None, seen
    one = seen.get(row.name)
    if not row.running:
        return ("stopped", None, None) if one is None else ("pending", one.live, "It is being stopped.")
    if one is None:
        return "pending", None, "The serving process has not taken it up yet."
    if one.target != row.version:
        return "pending", one.live, f"The serving process has not taken up version {row.version} yet."
    return one.state, one.live, one.reason


def _read(sessions: Sessions) -> list[_Row]:
    with sessions() as session:
        return _rows(session)


def _record(sessions: Sessions, seen: Mapping[str, Seen] | str) -> None:
    """Write what changed, judged by what is wanted now; of several replicas only one does."""
    with sessions.begin() as session:
        if not session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}):
            return
        for row in _rows(session):
            judged = _judge(row, seen)
            if judged != row.observed:
                _write(session, row, judged)


def _write(session: Session, row: _Row, judged: tuple[State, int | None, str | None]) -> None:
    state, version, reason = judged
    stored = session.scalar(select(Deployment).where(Deployment.name == row.name).with_for_update())
    if stored is None:
        return
    if (state, version) != row.observed[:2]:
        stored.observed_at = func.now()
        session.add(DeploymentEvent(deployment=row.name, kind=state, version=version, detail=reason or ""))
    stored.observed_state, stored.observed_version, stored.observed_reason = state, version, reason
    session.flush()


def _rows(session: Session) -> list[_Row]:
    found = session.execute(
        select(Deployment, ModelVersion.number, ModelVersion.sha256).join(
            ModelVersion, Deployment.version_id == ModelVersion.id
        )
    )
    return [
        _Row(
            name=row.name,
            version=number,
            sha256=sha256,
            runtime=row.runtime,
            replicas=row.replicas,
            running=row.wanted == "running",
            observed=(row.observed_state, row.observed_version, row.observed_reason),  # type: ignore[arg-type]
        )
        for row, number, sha256 in found
    ]
