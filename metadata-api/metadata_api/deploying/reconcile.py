"""The background task that makes wanted deployments real and writes down what is seen of them.

`create_app` runs it for as long as the API lives. It depends on nothing that a request does: after any
outage the next round compares what is wanted with what is there and goes on.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, Text, cast, column, func, select, text, update, values
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from metadata_api.database.session import Sessions
from metadata_api.database.tables import Deployment, DeploymentEvent, Experiment, ModelVersion
from metadata_api.deploying import helm
from metadata_api.deploying.base import Deployer, Seen, State, Wanted
from metadata_api.deploying.intervals import DEFAULT, Intervals
from metadata_api.errors import Unavailable

SWARM_SECONDS = 0.05
ROUND_SECONDS = 20.0
ADVISORY_LOCK = 7_303_014_482
log = logging.getLogger(__name__)

Judged = tuple[State, int | None, str | None]


@dataclass(frozen=True)
class _Row:
    """A deployment as the database has it: what is wanted, and what was last written down."""

    id: int
    wanted: Wanted
    running: bool
    owner: str
    observed: Judged


async def run(sessions: Sessions, deployer: Deployer, intervals: Intervals = DEFAULT) -> None:
    """Reconcile until cancelled: again after an interval, at once after a change, more slowly while it fails."""
    pause, last = intervals.reconcile, ""
    while True:
        deployer.changed.clear()
        try:
            async with asyncio.timeout(ROUND_SECONDS):
                await _round(sessions, deployer)
            pause, last = intervals.reconcile, ""
        except Exception as error:
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
            await asyncio.sleep(SWARM_SECONDS)


async def _round(sessions: Sessions, deployer: Deployer) -> None:
    # Threads of asyncio, not those that the routes share: a busy API must not hold this up.
    rows = await asyncio.to_thread(_read, sessions)
    failure: Exception | None = None
    try:
        await deployer.apply([row.wanted for row in rows if row.running and row.owner == helm.API])
    except Exception as error:
        # What runs now is worth writing down even when the wish could not be passed on.
        failure = error
    seen: Mapping[str, Seen] | str
    try:
        seen = await deployer.observe()
    except Unavailable as error:
        seen = error.detail
    if _differ(rows, seen) or any(_judge(row, seen, deployer.place) != row.observed for row in rows):
        await asyncio.to_thread(_record, sessions, seen, deployer.place)
    if failure is not None:
        raise failure


def _differ(rows: Sequence[_Row], seen: Mapping[str, Seen] | str) -> bool:
    """Whether Helm declares something else than the rows say."""
    if isinstance(seen, str):
        return False
    declared = {
        (name, one.declared.experiment, one.declared.version, one.declared.runtime, one.declared.replicas)
        for name, one in seen.items()
        if one.declared
    }
    known = {
        (row.wanted.name, row.wanted.experiment, row.wanted.version, row.wanted.runtime, row.wanted.replicas)
        for row in rows
        if row.owner == helm.HELM and row.running
    }
    return declared != known


def _judge(row: _Row, seen: Mapping[str, Seen] | str, place: str) -> Judged:
    """State, answering version and reason of a deployment."""
    if isinstance(seen, str):
        return "unknown", None, seen
    wanted, one = row.wanted, seen.get(row.wanted.name)
    if not row.running:
        return ("stopped", None, None) if one is None else ("pending", one.live, "It is being stopped.")
    if one is None:
        return "pending", None, f"{place} has not taken it up yet."
    if one.target != wanted.version:
        return "pending", one.live, f"{place} has not taken up version {wanted.version} yet."
    if one.runtime is not None and one.runtime != wanted.runtime:
        return "pending", one.live, f"{place} has not taken up the runtime {wanted.runtime} yet."
    return one.state, one.live, one.reason


def _read(sessions: Sessions) -> list[_Row]:
    with sessions() as session:
        return _rows(session)


def _record(sessions: Sessions, seen: Mapping[str, Seen] | str, place: str) -> None:
    """Write what changed, judged by what is wanted now; of several replicas only one does."""
    with sessions.begin() as session:
        if not session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}):
            return
        if not isinstance(seen, str):
            helm.follow(session, seen)
        judged = [(row, _judge(row, seen, place)) for row in _rows(session)]
        moved = [(row, now) for row, now in judged if now[:2] != row.observed[:2]]
        reworded = [(row, now) for row, now in judged if now[:2] == row.observed[:2] and now != row.observed]
        still = set(_write(session, moved, {"observed_at": func.now()}))
        session.add_all(
            DeploymentEvent(deployment=row.wanted.name, kind=now[0], version=now[1], detail=now[2] or "")
            for row, now in moved
            if row.id in still
        )
        _write(session, reworded, {})


def _write(
    session: Session, changes: Sequence[tuple[_Row, Judged]], more: Mapping[str, Any]
) -> Sequence[int]:
    """All changes in one statement; ids of the deployments that are still there."""
    if not changes:
        return []
    columns = (
        column("id", BigInteger),
        column("state", Text),
        column("version", Integer),
        column("reason", Text),
    )
    # A cast, because Postgres cannot tell the type of a column that is all null.
    new = values(*columns, name="new").data([(row.id, *now) for row, now in changes])
    statement = (
        update(Deployment)
        .where(Deployment.id == new.c.id)
        .values(
            {
                "observed_state": new.c.state,
                "observed_version": cast(new.c.version, Integer),
                "observed_reason": cast(new.c.reason, Text),
                **more,
            }
        )
        .returning(Deployment.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()


def _rows(session: Session) -> list[_Row]:
    # Columns, not objects: this is read twice a second, with a thousand deployments.
    found = session.execute(
        select(
            Deployment.id,
            Deployment.name,
            Experiment.name.label("experiment"),
            ModelVersion.number,
            ModelVersion.sha256,
            Deployment.runtime,
            Deployment.replicas,
            Deployment.wanted,
            Deployment.owner,
            Deployment.observed_state,
            Deployment.observed_version,
            Deployment.observed_reason,
        )
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
    )
    return [
        _Row(
            id=row.id,
            wanted=Wanted(row.name, row.experiment, row.number, row.sha256, row.runtime, row.replicas),
            running=row.wanted == "running",
            owner=row.owner,
            observed=(row.observed_state, row.observed_version, row.observed_reason),
        )
        for row in found
    ]
