"""The log of aliases: every change with who, when, why and on what evidence, and where a name led at any moment.

Called by `alias_changes`, which adds to it, by the routes for aliases, and by `lineage`. Rows are only ever added;
those of a name are in the order of their ids and of their times.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from metadata_api import aliases
from metadata_api.database import pages
from metadata_api.database.tables import Alias, AliasEvent, Experiment, ModelVersion
from metadata_api.errors import NotFound
from metadata_api.schemas import aliases as bodies


@dataclass(frozen=True)
class Change:
    """Why an alias is changed: the verified caller, what it says, and the evidence of a promotion."""

    kind: str
    actor: str
    reason: str
    evidence: dict[str, Any] | None = None


def note(session: Session, name: str, deployment: str, version_id: int, change: Change) -> None:
    """Add an event; the name is locked, so that events have the order of their times."""
    version = session.execute(
        select(ModelVersion.number, ModelVersion.sha256, Experiment.name)
        .join(Experiment, ModelVersion.experiment_id == Experiment.id)
        .where(ModelVersion.id == version_id)
    ).one()
    session.add(
        AliasEvent(
            alias=name,
            at=_now(name),
            kind=change.kind,
            deployment=deployment,
            experiment=version.name,
            version=version.number,
            mar_sha256=version.sha256,
            actor=change.actor,
            reason=change.reason,
            evidence=change.evidence,
        )
    )
    session.flush()


def newest(session: Session, name: str, count: int) -> list[AliasEvent]:
    """The newest events of a name, newest first."""
    mine = select(AliasEvent).where(AliasEvent.alias == name)
    return list(session.scalars(mine.order_by(AliasEvent.id.desc()).limit(count)))


def list_page(session: Session, name: str, *, limit: int, before: int | None) -> bodies.AliasEventPage:
    """The `limit` newest events of a name, or those older than the cursor `before`; raises NotFound."""
    mine = select(AliasEvent).where(AliasEvent.alias == name)
    total = session.scalar(mine.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    if not total and not aliases.exists(session, Alias, name):
        raise aliases.unknown(name)
    rows, following = pages.newest(session, mine, AliasEvent.id, limit=limit, before=before)
    return bodies.AliasEventPage(items=[shown(row) for row in rows], total=total, next=following)


def at(session: Session, name: str, moment: datetime) -> bodies.AliasThen:
    """Where a name led at a moment. Raises NotFound, which says since when or until when there was one."""
    mine = select(AliasEvent).where(AliasEvent.alias == name)
    event = session.scalar(mine.where(AliasEvent.at <= moment).order_by(AliasEvent.id.desc()).limit(1))
    later = mine.order_by(AliasEvent.id)
    following = session.scalar((later.where(AliasEvent.id > event.id) if event else later).limit(1))
    if event is None or event.kind == "delete":
        raise _not_then(name, moment, event, following)
    return bodies.AliasThen(
        name=name,
        at=moment,
        deployment=event.deployment,
        experiment=event.experiment,
        version=event.version,
        mar_sha256=event.mar_sha256,
        since=event.at,
        until=following.at if following else None,
        event=shown(event),
    )


def shown(row: AliasEvent) -> bodies.AliasEvent:
    """An event as bodies have it."""
    return bodies.AliasEvent.model_validate(row, from_attributes=True)


def _now(name: str) -> ColumnElement[datetime]:
    """The time of an event that is being added: never before that of the one before it, whatever the clock does."""
    # Not the transaction's time: it may have waited for the name while others changed the alias.
    last = select(AliasEvent.at).where(AliasEvent.alias == name).order_by(AliasEvent.id.desc()).limit(1)
    return func.greatest(func.clock_timestamp(), last.scalar_subquery())


def _not_then(
    name: str, moment: datetime, event: AliasEvent | None, following: AliasEvent | None
) -> NotFound:
    then = f"at {_time(moment)}"
    if event is None and following is None:
        return aliases.unknown(name)
    if event is None and following is not None:
        if following.kind == "create":
            said = f"The name {name} led nowhere {then}: alias {name} was first set at {_time(following.at)}."
            return NotFound("alias_unknown_then", f"{said} Ask for a later time.")
        said = f"Where alias {name} pointed {then} is not kept: its log begins at {_time(following.at)}."
        return NotFound("alias_log_too_short", f"{said} Ask for a later time.")
    assert event, "one of both is there"
    again = f", and set again at {_time(following.at)}" if following else ", and never set again"
    return NotFound(
        "alias_unknown_then",
        f"The name {name} led nowhere {then}: alias {name} was deleted at {_time(event.at)}{again}. "
        f"See /v1/aliases/{name}/events.",
    )


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
