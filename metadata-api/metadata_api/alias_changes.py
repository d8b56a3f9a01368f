"""Changes of aliases: set, moved, moved on a condition, rolled back, deleted; each leaves an event in its transaction.

Called by the routes for aliases and by `evidence`, which decides whether an alias moves.
"""

from collections.abc import Callable, Container

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metadata_api import alias_events, aliases, versions
from metadata_api.alias_events import Change
from metadata_api.database.tables import Alias, AliasEvent, Deployment, Experiment, ModelVersion
from metadata_api.errors import Conflict, NotFound
from metadata_api.schemas.aliases import AliasTarget


def put(session: Session, name: str, new: AliasTarget, reserved: Container[str], actor: str) -> bool:
    """Point a name at what a deployment serves; True when the alias is new. Raises NotFound and Conflict.

    Where it points already it is left as it is. `reserved` are names of deployments that have no row; `actor` is the
    verified caller.
    """
    aliases.lock(session, name)
    if name in reserved or aliases.exists(session, Deployment, name):
        raise Conflict(
            "deployment_exists", f"There is a deployment {name}. Choose another name for the alias."
        )
    deployment = _servable(session, new.deployment, new.version)
    row = session.scalar(select(Alias).where(Alias.name == name))
    if row is None:
        session.add(Alias(name=name, deployment_id=deployment.id, version_id=deployment.version_id))
    elif not _move(row, deployment):
        return False
    change = Change("create" if row is None else "move", actor, new.reason)
    alias_events.note(session, name, deployment.name, deployment.version_id, change)
    return row is None


def move_if(
    session: Session, name: str, candidate: str, decide: Callable[[Alias, Deployment], Change]
) -> None:
    """Point an alias at what a deployment serves, unless `decide` raises; both stay as they are until then.

    Raises NotFound and Conflict when there is no such alias, or no such deployment that runs.
    """
    row = _locked(session, name)
    deployment = _servable(session, candidate, None)
    if (row.deployment_id, row.version_id) == (deployment.id, deployment.version_id):
        raise Conflict("already_champion", f"Alias {name} points at deployment {candidate} already.")
    change = decide(row, deployment)
    _move(row, deployment)
    alias_events.note(session, name, deployment.name, deployment.version_id, change)


def previous(session: Session, name: str) -> tuple[Alias, AliasEvent, AliasEvent]:
    """An alias, which nobody changes until the transaction ends, its newest event, and that of its last target.

    Raises NotFound, and Conflict when it was never moved.
    """
    row = _locked(session, name)
    events = alias_events.newest(session, name, 2)
    # What was before its creation belongs to an alias that was deleted.
    if len(events) < 2 or events[0].kind == "create":
        raise Conflict("no_previous_target", f"Alias {name} was never moved. Move it first.")
    return row, events[0], events[1]


def roll_back(session: Session, row: Alias, deployment: str, version_id: int, by: Change) -> None:
    """Point an alias that is locked at a version that a deployment shall serve; raises NotFound and Conflict."""
    found = _servable(session, deployment, None)
    if found.version_id != version_id:
        raise Conflict("deployment_changed", f"Deployment {deployment} was just changed. Roll back again.")
    _move(row, found)
    alias_events.note(session, row.name, found.name, found.version_id, by)


def delete(session: Session, name: str, actor: str, reason: str) -> None:
    """Forget an alias; its events stay."""
    row = _locked(session, name)
    deployment = session.scalars(select(Deployment.name).where(Deployment.id == row.deployment_id)).one()
    version_id = row.version_id
    session.delete(row)
    alias_events.note(session, name, deployment, version_id, Change("delete", actor, reason))


def _servable(session: Session, name: str, number: int | None) -> Deployment:
    """A deployment that serves this version, locked against changes until the transaction ends."""
    # This lock stops changes of the desired state, but not the reconciler, which writes down what it sees.
    query = select(Deployment).where(Deployment.name == name)
    row = session.scalar(query.with_for_update(read=True, key_share=True))
    if row is None:
        raise NotFound("deployment_unknown", f"There is no deployment {name}. See /v1/deployments.")
    desired = session.scalars(select(ModelVersion.number).where(ModelVersion.id == row.version_id)).one()
    if number not in (None, desired):
        mine = session.scalars(select(Experiment.name).where(Experiment.id == row.experiment_id)).one()
        versions.find(session, mine, number)
        raise Conflict(
            "version_not_served",
            f"Deployment {name} serves version {desired}, not {number}. Change or roll back the deployment "
            f"first, or deploy version {number} under another name.",
        )
    if row.desired != "running":
        raise Conflict("deployment_stopped", f"Deployment {name} is stopped. Start it first.")
    return row


def _move(row: Alias, deployment: Deployment) -> bool:
    """Whether it pointed elsewhere."""
    new = (deployment.id, deployment.version_id)
    if (row.deployment_id, row.version_id) == new:
        return False
    row.deployment_id, row.version_id = new
    row.updated_at = func.now()
    return True


def _locked(session: Session, name: str) -> Alias:
    aliases.lock(session, name)
    row = session.scalar(select(Alias).where(Alias.name == name))
    if row is None:
        raise aliases.unknown(name)
    return row
