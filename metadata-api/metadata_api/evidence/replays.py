"""Replays as they are kept: asked for, shown, cancelled. `replaying` runs them.

One that runs and that nobody has worked on for `LOST_SECONDS` is failed: its process has ended. Those that wait are
taken up by the next process.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, undefer

from metadata_api.database import pages
from metadata_api.database.evidence_tables import Label
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.replay_tables import Replay
from metadata_api.database.tables import Deployment
from metadata_api.errors import Conflict, NotFound
from metadata_api.predicting import stored_inputs
from metadata_api.schemas import replays as bodies

LOST_SECONDS = 30
# Waiting or running at once, over all.
MOST = 8
_UNDER_WAY = ("waiting", "running")


def create(session: Session, new: bodies.NewReplay, actor: str) -> bodies.Replay:
    """Keep a replay for the worker. Raises NotFound for an unknown name or input, Conflict when too many wait."""
    names = list(dict.fromkeys(new.deployments))
    known = set(session.scalars(select(Deployment.name).where(Deployment.name.in_(names))))
    if missing := [name for name in names if name not in known]:
        raise NotFound(
            "deployment_unknown", f"There is no deployment {', '.join(missing)}. See /v1/deployments."
        )
    fail_lost(session)
    waiting = session.scalar(select(func.count()).where(Replay.state.in_(_UNDER_WAY))) or 0
    if waiting >= MOST:
        raise Conflict("replays_busy", f"{waiting} replays are under way. Wait for one, or cancel one.")
    inputs = _inputs(session, new, names)
    row = Replay(
        state="waiting", deployments=names, inputs=inputs, total=len(inputs), version_ids=[], created_by=actor
    )
    session.add(row)
    session.flush()
    return show(session, row.id)


def show(session: Session, number: int) -> bodies.Replay:
    """One replay with its report; raises NotFound."""
    row = session.get(Replay, number, options=[undefer(Replay.report)], populate_existing=True)
    if row is None:
        raise NotFound("replay_unknown", f"There is no replay {number}. See /v1/replays.")
    report = bodies.ReplayReport.model_validate(row.report) if row.report else None
    if report is not None:
        examples = [flip for pair in report.against_first for flip in pair.examples]
        inputs = stored_inputs.named(session, (flip.input_sha256 for flip in examples))
        for flip in examples:
            flip.input = inputs.get(flip.input_sha256)
    return _shown(row, report)


def list_page(session: Session, *, limit: int, before: int | None) -> bodies.ReplayPage:
    """The `limit` newest replays, or those older than the cursor `before`."""
    rows, following = pages.newest(session, select(Replay), Replay.id, limit=limit, before=before)
    return bodies.ReplayPage(items=[_shown(row, None) for row in rows], next=following)


def cancel(session: Session, number: int) -> bodies.Replay:
    """End a replay; what was answered stays recorded. One that has ended is left as it is. Raises NotFound."""
    session.execute(
        update(Replay)
        .where(Replay.id == number, Replay.state.in_(_UNDER_WAY))
        .values(state="cancelled", ended_at=func.now())
    )
    return show(session, number)


def fail_lost(session: Session) -> None:
    """Write down that those without a process have failed."""
    lost = func.now() - timedelta(seconds=LOST_SECONDS)
    session.execute(
        update(Replay)
        .where(Replay.state == "running", Replay.seen_at < lost)
        .values(state="failed", reason=_LOST, ended_at=func.now())
    )


_LOST = "The API was restarted meanwhile. Start the replay again."


def _inputs(session: Session, new: bodies.NewReplay, names: list[str]) -> list[str]:
    """Those that are named, or the newest that one of the deployments' tasks knows: those with a label first."""
    if new.inputs is not None:
        wanted = list(dict.fromkeys(new.inputs))
        known = set(session.scalars(select(Input.sha256).where(Input.sha256.in_(wanted))))
        if missing := [sha256 for sha256 in wanted if sha256 not in known]:
            raise NotFound("input_unknown", f"There is no input {missing[0]}. See /v1/inputs.")
        return wanted
    asked = select(Prediction.id).where(
        Prediction.input_sha256 == Input.sha256,
        Prediction.deployment.in_(names),
        # Of recorded traffic also what nobody has answered yet.
        Prediction.status != "error",
    )
    labelled = select(Label.id).where(Label.input_sha256 == Input.sha256, Label.superseded_at.is_(None))
    query = select(Input.sha256).where(asked.exists())
    newest = query.order_by(labelled.exists().desc(), Input.created_at.desc(), Input.sha256)
    found = list(session.scalars(newest.limit(new.limit)))
    if not found:
        raise Conflict(
            "nothing_to_replay", "None of the deployments has answered an input yet. Ask one, or name inputs."
        )
    return found


def _shown(row: Replay, report: bodies.ReplayReport | None) -> bodies.Replay:
    lost = row.state == "running" and row.seen_at < datetime.now(UTC) - timedelta(seconds=LOST_SECONDS)
    return bodies.Replay.model_validate(
        {
            "id": row.id,
            "state": "failed" if lost else row.state,
            "deployments": row.deployments,
            "inputs": row.total,
            "done": row.done,
            "reason": _LOST if lost else row.reason,
            "created_by": row.created_by,
            "created_at": row.created_at,
            "ended_at": row.ended_at,
            "report": report,
        }
    )
