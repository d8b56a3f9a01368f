"""What was meant for a deployment as somebody saw it, and must not override what was changed since."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api.database.auth_tables import AuditEntry
from metadata_api.database.tables import DeploymentEvent
from metadata_api.deployments import changes
from metadata_api.errors import Conflict


def require_unchanged(session: Session, name: str, since: datetime | None) -> None:
    """Raise Conflict when somebody changed a deployment after its `updated_at` was read; None asks for nothing.

    It stays as it is until the transaction ends. Raises NotFound.
    """
    if since is None:
        return
    row = changes.locked(session, name)
    if row.updated_at <= since:
        return
    # All of one transaction have its time.
    event = session.scalar(
        select(DeploymentEvent)
        .where(DeploymentEvent.deployment == name, DeploymentEvent.at == row.updated_at)
        .order_by(DeploymentEvent.id.desc())
        .limit(1)
    )
    entry = select(AuditEntry.subject).where(AuditEntry.at == row.updated_at).order_by(AuditEntry.id.desc())
    who = (event and event.actor) or session.scalar(entry.limit(1)) or "somebody"
    what = ", ".join(filter(None, (event.kind, event.detail))) if event else "change"
    raise Conflict(
        "deployment_changed",
        f"{who} changed deployment {name} at {row.updated_at:%Y-%m-%d %H:%M:%S} UTC: {what}. It is left as it is; "
        "look at it, and decide anew.",
    )
