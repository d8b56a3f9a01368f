"""Edits of an experiment: names, notes, parameters, tags, directions and state, in place; called by its route."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from metadata_api import directions, experiments, points
from metadata_api.database.auth_tables import AuditEntry
from metadata_api.database.tables import Experiment
from metadata_api.errors import Conflict, Invalid
from metadata_api.schemas import experiments as bodies
from metadata_api.schemas.fields import MAX_KEYS, MAX_SCALARS, characters

Json = dict[str, Any]
MERGED = ("parameters", "tags", "directions")


def change(
    session: Session, name: str, new: bodies.ExperimentChange, unchanged_since: datetime | None
) -> bodies.Experiment:
    """Change what a body says; keys of parameters, tags and directions are merged, null removes one.

    Raises NotFound, Conflict when somebody edited it after `unchanged_since`, Invalid for what would grow too large.
    """
    row = session.scalar(select(Experiment).where(Experiment.name == name).with_for_update(key_share=True))
    if row is None:
        raise experiments.unknown(name)
    if unchanged_since is not None and row.updated_at > unchanged_since:
        raise _edited(session, row)
    wanted = new.model_dump(exclude_unset=True)
    for key in MERGED:
        if key in wanted:
            wanted[key] = _merged(key, getattr(row, key), wanted[key])
    changes = {key: value for key, value in wanted.items() if value != getattr(row, key)}
    if not changes:
        return experiments.show(session, name)
    if "state" in changes:
        changes["ended_at"] = None if changes["state"] == "running" else func.now()
    # Transactions wait for each other, and may end in another order than they began.
    changes["updated_at"] = func.greatest(func.now(), row.updated_at + timedelta(microseconds=1))
    for key, value in changes.items():
        setattr(row, key, value)
    if "directions" in changes:
        _turn(session, row)
    session.flush()
    session.expire(row)
    return experiments.show(session, name)


def _merged(what: str, before: Json, changes: Json) -> Json:
    after = {key: value for key, value in (before | changes).items() if value is not None}
    grows = characters(after) > characters(before) or len(after) > len(before)
    if grows and (len(after) > MAX_KEYS or characters(after) > MAX_SCALARS) and what != "directions":
        detail = f"It would have over {MAX_KEYS} {what}, or {MAX_SCALARS:,} characters in them. Remove some by null."
        raise Invalid("experiment_too_large", detail)
    return after


def _turn(session: Session, row: Experiment) -> None:
    """Find the best value of each metric whose direction is another now."""
    for metric, found in row.metrics.items():
        direction = directions.of(metric, row.directions)
        if direction != found["direction"]:
            best = points.best(session, row.id, metric, direction)
            row.metrics[metric] = {**found, "direction": direction, **best}
            flag_modified(row, "metrics")


def _edited(session: Session, row: Experiment) -> Conflict:
    # All of one transaction have its time.
    entry = select(AuditEntry.subject).where(AuditEntry.at == row.updated_at).order_by(AuditEntry.id.desc())
    who = session.scalar(entry.limit(1)) or "somebody"
    return Conflict(
        "experiment_changed",
        f"{who} changed experiment {row.name} at {row.updated_at:%Y-%m-%d %H:%M:%S} UTC. It is left as it is; "
        "look at it, and decide anew.",
    )
