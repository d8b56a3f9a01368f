"""Aliases: names that stay while the deployment and the version that answer for them change.

Every change leaves an event in its transaction. Called by the routes for aliases; by deployments, which share the
addresses under /v2 and therefore no name with them; and by `inference`, which asks where a name leads.

An alias points at one version and never follows its deployment: who moves a deployment to another version leaves its
aliases stale. They say so, and are rejected under /v2, until the alias or the deployment is moved.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from metadata_api.database.tables import Alias, AliasEvent, Deployment, Experiment, ModelVersion
from metadata_api.errors import Conflict, NotFound
from metadata_api.schemas import aliases as bodies

NAMES_LOCK = 7_303
NAMED = 10
DesiredVersion, DesiredExperiment = aliased(ModelVersion), aliased(Experiment)
Namesake = aliased(Deployment)


@dataclass(frozen=True)
class Pointer:
    """Where an alias points, and what is known of the deployment there."""

    name: str
    created_at: datetime
    updated_at: datetime
    deployment: str
    experiment: str
    version: int
    desired: str
    """`running` or `stopped`."""
    moved_to: str
    """Version and experiment that the deployment is to serve now."""
    is_desired: bool
    answers: bool | None
    shadowed: bool
    event_id: int | None
    """Of the change that made it point there."""

    @property
    def stale(self) -> str | None:
        """What to do when the deployment runs, but neither wants nor serves this version any more."""
        if self.desired != "running" or self.is_desired or self.answers:
            return None
        return (
            f"Alias {self.name} points at version {self.version} of {self.experiment}, but deployment "
            f"{self.deployment} was moved to {self.moved_to}. Move the alias, or roll the deployment back."
        )

    @property
    def problem(self) -> str | None:
        """Why the version does not answer for the alias, None when it does."""
        if self.shadowed:
            return (
                f"A deployment is called {self.name} too and gets its requests. Delete the alias and set "
                "one by another name."
            )
        if self.desired != "running":
            return f"Deployment {self.deployment} is stopped. Start it, or move the alias."
        if self.answers:
            return None
        return self.stale or (
            f"Version {self.version} of deployment {self.deployment} does not answer. "
            f"/v1/deployments/{self.deployment} says why."
        )


def show(session: Session, name: str) -> bodies.Alias:
    """One alias; raises NotFound."""
    pointer = find(session, name)
    if pointer is None:
        raise unknown(name)
    return _shown(pointer)


def list_page(
    session: Session, *, limit: int, after: str | None, deployment: str | None = None
) -> bodies.AliasPage:
    """`limit` aliases by name, those after the name `after` if given, those that point at a deployment if named."""
    query = _pointers()
    if deployment is not None:
        query = query.where(Deployment.name == deployment)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    if after is not None:
        query = query.where(Alias.name > after)
    rows = session.execute(query.order_by(Alias.name).limit(limit + 1)).mappings()
    items = [_shown(Pointer(**row)) for row in rows]
    following = items[limit - 1].name if len(items) > limit else None
    return bodies.AliasPage(items=items[:limit], total=total, next=following)


def pointers(session: Session, names: Collection[str] | None = None) -> list[Pointer]:
    """Where every alias points, or those of these names that there are."""
    query = _pointers() if names is None else _pointers().where(Alias.name.in_(names))
    return [Pointer(**row) for row in session.execute(query).mappings()]


def find(session: Session, name: str) -> Pointer | None:
    """Where an alias points, if there is one of this name."""
    row = session.execute(_pointers().where(Alias.name == name)).mappings().one_or_none()
    return Pointer(**row) if row else None


def reserve_name(session: Session, name: str) -> None:
    """Raise Conflict when a new deployment cannot have this name, and keep aliases from taking it meanwhile."""
    lock(session, name)
    if exists(session, Alias, name):
        raise Conflict(
            "alias_exists", f"There is an alias {name}. Name the deployment otherwise, or delete the alias."
        )


def require_no_aliases(session: Session, deployment: Deployment) -> None:
    """Raise Conflict when aliases still point at a deployment, which then cannot be deleted."""
    here = select(Alias.name).where(Alias.deployment_id == deployment.id)
    if names := session.scalars(here.order_by(Alias.name).limit(NAMED)).all():
        raise Conflict(
            "alias_points_here",
            f"Deployment {deployment.name} is what aliases point at: {', '.join(names)}. "
            "Move or delete them first.",
        )


def _pointers() -> Select[*tuple[Any, ...]]:
    """Rows with the fields of a Pointer."""
    # A number says nothing about the experiment, and Helm may give a deployment another one.
    answers = and_(
        Deployment.experiment_id == ModelVersion.experiment_id,
        Deployment.observed_version == ModelVersion.number,
    )
    return (
        select(
            Alias.name,
            Alias.created_at,
            Alias.updated_at,
            Deployment.name.label("deployment"),
            Experiment.name.label("experiment"),
            ModelVersion.number.label("version"),
            Deployment.desired,
            func.format("version %s of %s", DesiredVersion.number, DesiredExperiment.name).label("moved_to"),
            (Alias.version_id == Deployment.version_id).label("is_desired"),
            answers.label("answers"),
            select(Namesake.id).where(Namesake.name == Alias.name).exists().label("shadowed"),
            # In this statement, so that it is the event of the target beside it.
            select(func.max(AliasEvent.id))
            .where(AliasEvent.alias == Alias.name)
            .scalar_subquery()
            .label("event_id"),
        )
        .join(Deployment, Alias.deployment_id == Deployment.id)
        .join(ModelVersion, Alias.version_id == ModelVersion.id)
        .join(Experiment, ModelVersion.experiment_id == Experiment.id)
        .join(DesiredVersion, Deployment.version_id == DesiredVersion.id)
        .join(DesiredExperiment, Deployment.experiment_id == DesiredExperiment.id)
    )


def _shown(pointer: Pointer) -> bodies.Alias:
    problem = pointer.problem
    return bodies.Alias(
        name=pointer.name,
        deployment=pointer.deployment,
        experiment=pointer.experiment,
        version=pointer.version,
        live=problem is None,
        reason=problem,
        url=f"/v2/models/{pointer.name}",
        created_at=pointer.created_at,
        updated_at=pointer.updated_at,
    )


def lock(session: Session, name: str) -> None:
    """Lock a name until the transaction ends: no other request changes this alias or makes such a deployment.

    Not the row's own lock, because the name may have no row yet, and may get one in either table.
    """
    session.execute(select(func.pg_advisory_xact_lock(NAMES_LOCK, func.hashtext(name))))


def exists(session: Session, table: type[Alias] | type[Deployment], name: str) -> bool:
    return session.scalar(select(table.id).where(table.name == name)) is not None


def unknown(name: str) -> NotFound:
    return NotFound("alias_unknown", f"There is no alias {name}. Set it by PUT /v1/aliases/{name}.")
