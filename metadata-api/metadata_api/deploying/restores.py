"""Restores of the database: what serves is left as it is until somebody has looked and confirmed.

A dump of yesterday does not know what was deployed since. Without a word the reconcile loop would take that away, and
the collector the bytes that only today's rows needed.
"""

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from metadata_api.database.object_tables import Restore
from metadata_api.database.tables import Deployment
from metadata_api.errors import NotFound
from metadata_api.schemas import restores as bodies

NEWEST = select(Restore).order_by(Restore.id.desc()).limit(1)


def changed_since(session: Session) -> frozenset[str] | None:
    """Deployments that somebody changed after a restore that waits to be confirmed; None when none waits."""
    since = session.scalar(select(func.min(Restore.restored_at)).where(Restore.confirmed_at.is_(None)))
    if since is None:
        return None
    return frozenset(session.scalars(select(Deployment.name).where(Deployment.updated_at > since)))


def withhold(session: Session, withheld: Sequence[str]) -> None:
    """Write down what is not done because of a restore."""
    pending = Restore.confirmed_at.is_(None)
    changed = Restore.withheld != list(withheld)
    session.execute(update(Restore).where(pending, changed).values(withheld=list(withheld)))


def show(session: Session) -> bodies.Restore:
    """The newest restore; raises NotFound when there was none."""
    row = session.scalar(NEWEST)
    if row is None:
        raise NotFound("restore_unknown", "This database was never restored from a dump.")
    return _shown(row)


def confirm(session: Session, by: str) -> bodies.Restore:
    """Let the rows decide again what is deployed and which bytes are kept; raises NotFound without a restore."""
    row = session.scalar(NEWEST.with_for_update())
    if row is None:
        raise NotFound("restore_unknown", "This database was never restored from a dump: nothing waits.")
    pending = update(Restore).where(Restore.confirmed_at.is_(None))
    session.execute(pending.values(confirmed_at=func.now(), confirmed_by=by))
    session.refresh(row)
    return _shown(row)


def _shown(row: Restore) -> bodies.Restore:
    return bodies.Restore(
        dump=row.dump,
        restored_at=row.restored_at,
        pending=row.confirmed_at is None,
        withheld=row.withheld,
        confirmed_at=row.confirmed_at,
        confirmed_by=row.confirmed_by,
    )
