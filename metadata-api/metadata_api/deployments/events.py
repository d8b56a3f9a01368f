"""What happened to deployments: what was asked for, by whom and why, and what was observed; the newest first."""

from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from metadata_api.database.tables import Deployment, DeploymentEvent
from metadata_api.errors import NotFound
from metadata_api.schemas import deployments as bodies


@dataclass(frozen=True)
class By:
    """Who changes a deployment, as its credential proves it, and why, as it says."""

    actor: str
    reason: str = ""


def note(session: Session, name: str, kind: str, version: int, detail: str, by: By) -> None:
    """Keep that a deployment was changed."""
    session.add(
        DeploymentEvent(
            deployment=name, kind=kind, version=version, detail=detail, actor=by.actor, reason=by.reason
        )
    )
    session.flush()


def latest(session: Session, name: str, count: int) -> list[bodies.DeploymentEvent]:
    """The newest events of a name."""
    return [_shown(row) for row in session.scalars(_newest(name).limit(count))]


def list_page(session: Session, name: str, *, limit: int, before: int | None) -> bodies.DeploymentEventPage:
    """The `limit` newest events of a name, or those older than the cursor `before`; raises NotFound."""
    total = session.scalar(select(func.count()).where(DeploymentEvent.deployment == name)) or 0
    if not total and session.scalar(select(Deployment.id).where(Deployment.name == name)) is None:
        raise NotFound("deployment_unknown", f"There is no deployment {name}, and never was.")
    query = _newest(name)
    if before is not None:
        query = query.where(DeploymentEvent.id < before)
    rows = session.scalars(query.limit(limit + 1)).all()
    following = str(rows[limit - 1].id) if len(rows) > limit else None
    return bodies.DeploymentEventPage(
        items=[_shown(row) for row in rows[:limit]], total=total, next=following
    )


def _newest(name: str) -> Select[DeploymentEvent]:
    mine = select(DeploymentEvent).where(DeploymentEvent.deployment == name)
    return mine.order_by(DeploymentEvent.id.desc())


def _shown(row: DeploymentEvent) -> bodies.DeploymentEvent:
    return bodies.DeploymentEvent.model_validate(row, from_attributes=True)
