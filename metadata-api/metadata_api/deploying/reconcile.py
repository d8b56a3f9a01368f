"""The background task that makes desired deployments real and writes down what is observed of them.

`create_app` runs it for as long as the API lives. It depends on nothing that a request does: after any
outage the next round compares what is desired with what is there and goes on.
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
from metadata_api.deploying.base import Deployer, Desired, Observed, State
from metadata_api.deploying.intervals import DEFAULT, Intervals
from metadata_api.errors import Unavailable

DEBOUNCE_SECONDS = 0.05
ROUND_SECONDS = 20.0
ADVISORY_LOCK = 7_303_014_482
log = logging.getLogger(__name__)

Status = tuple[State, int | None, str | None]


@dataclass(frozen=True)
class _Row:
    """A deployment as the database has it: what is desired, and what was last written down."""

    id: int
    desired: Desired
    running: bool
    owner: str
    observed: Status


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
            await asyncio.sleep(DEBOUNCE_SECONDS)


async def _round(sessions: Sessions, deployer: Deployer) -> None:
    # Threads of asyncio, not those that the routes share: a busy API must not hold this up.
    rows = await asyncio.to_thread(_read, sessions)
    failure: Exception | None = None
    try:
        await deployer.apply([row.desired for row in rows if row.running and row.owner == helm.API])
    except Exception as error:
        # What runs now is worth writing down even when the desired state could not be passed on.
        failure = error
    observed: Mapping[str, Observed] | str
    try:
        observed = await deployer.observe()
    except Unavailable as error:
        observed = error.detail
    if _differ(rows, observed) or any(
        _compare(row, observed, deployer.backend_name) != row.observed for row in rows
    ):
        await asyncio.to_thread(_record, sessions, observed, deployer.backend_name)
    if failure is not None:
        raise failure


def _differ(rows: Sequence[_Row], observed: Mapping[str, Observed] | str) -> bool:
    """Whether Helm declares something else than the rows say."""
    if isinstance(observed, str):
        return False
    declared = {
        (name, one.declared.experiment, one.declared.version, one.declared.runtime, one.declared.replicas)
        for name, one in observed.items()
        if one.declared
    }
    known = {
        (
            row.desired.name,
            row.desired.experiment,
            row.desired.version,
            row.desired.runtime,
            row.desired.replicas,
        )
        for row in rows
        if row.owner == helm.HELM and row.running
    }
    return declared != known


def _compare(row: _Row, observed: Mapping[str, Observed] | str, backend_name: str) -> Status:
    """State, answering version and reason of a deployment."""
    if isinstance(observed, str):
        return "unknown", None, observed
    desired, one = row.desired, observed.get(row.desired.name)
    if not row.running:
        return ("stopped", None, None) if one is None else ("pending", one.live, "It is being stopped.")
    if one is None:
        return "pending", None, f"{backend_name} has not taken it up yet."
    if one.target != desired.version:
        return "pending", one.live, f"{backend_name} has not taken up version {desired.version} yet."
    if one.runtime is not None and one.runtime != desired.runtime:
        return "pending", one.live, f"{backend_name} has not taken up the runtime {desired.runtime} yet."
    return one.state, one.live, one.reason


def _read(sessions: Sessions) -> list[_Row]:
    with sessions() as session:
        return _rows(session)


def _record(sessions: Sessions, observed: Mapping[str, Observed] | str, backend_name: str) -> None:
    """Write what changed, compared by what is desired now; of several replicas only one does."""
    with sessions.begin() as session:
        if not session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}):
            return
        if not isinstance(observed, str):
            helm.sync(session, observed)
        compared = [(row, _compare(row, observed, backend_name)) for row in _rows(session)]
        moved = [(row, now) for row, now in compared if now[:2] != row.observed[:2]]
        reworded = [
            (row, now) for row, now in compared if now[:2] == row.observed[:2] and now != row.observed
        ]
        still = set(_write(session, moved, {"observed_at": func.now()}))
        session.add_all(
            DeploymentEvent(deployment=row.desired.name, kind=now[0], version=now[1], detail=now[2] or "")
            for row, now in moved
            if row.id in still
        )
        _write(session, reworded, {})


def _write(
    session: Session, changes: Sequence[tuple[_Row, Status]], more: Mapping[str, Any]
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
            Deployment.desired,
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
            desired=Desired(row.name, row.experiment, row.number, row.sha256, row.runtime, row.replicas),
            running=row.desired == "running",
            owner=row.owner,
            observed=(row.observed_state, row.observed_version, row.observed_reason),
        )
        for row in found
    ]
