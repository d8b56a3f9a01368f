"""The deployments that a call for predictions may ask, and versions that may answer; called by `predictions`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from metadata_api import aliases, experiments, versions
from metadata_api.database.tables import Deployment, DeploymentEvent, Experiment, ModelVersion
from metadata_api.deploying.base import ServingOptions
from metadata_api.errors import Conflict, Forbidden, NotFound
from metadata_api.predicting import answers
from metadata_api.schemas.predictions import NotAsked
from serving_runtime.archive import interface
from serving_runtime.archive.interface import Interface

Json = dict[str, Any]
# Columns instead of rows: a version's golden pair and training record are large and not needed.
VERSION_COLUMNS = (
    ModelVersion.id,
    ModelVersion.number,
    ModelVersion.sha256,
    ModelVersion.labels,
    ModelVersion.inputs,
    ModelVersion.outputs,
    ModelVersion.handler,
    ModelVersion.task,
)


@dataclass(frozen=True)
class AnsweringVersion:
    """A version that may have answered."""

    id: int
    number: int
    sha256: str
    interface: Interface

    @property
    def answer_kind(self) -> str:
        """What it gives."""
        return answers.kind_of(self.interface.outputs)


@dataclass(frozen=True)
class Selection:
    """Whom a call names; nobody means all that run. `allowed` are those that the caller may use, None for all."""

    deployments: Sequence[str] = ()
    aliases: Sequence[str] = ()
    experiments: Sequence[str] = ()
    allowed: Collection[str] | None = None

    @property
    def everybody(self) -> bool:
        """Whether none is named."""
        return not (self.deployments or self.aliases or self.experiments)


@dataclass(frozen=True)
class Target:
    """A deployment to ask, and the version that it shall serve or that its alias points at."""

    name: str
    experiment: str
    experiment_id: int
    runtime: str
    running: bool
    ready: bool
    response_seconds: int | None
    """How long its server may take to answer, where that is not the installation's default."""
    desired: AnsweringVersion
    alias: str | None = None
    version: str = ""
    """The version that it is asked for; empty for the one that it serves."""
    alias_event: int | None = None
    """The change that made the alias point here."""
    deployment_event: int | None = None
    """The newest event of the deployment."""

    def not_asked(self, reason: str, detail: str) -> NotAsked:
        """The same as one that is not asked."""
        return NotAsked(deployment=self.name, experiment=self.experiment, reason=reason, detail=detail)


@dataclass
class Found:
    """Those that may be asked, and those named that cannot, whatever the input is."""

    targets: list[Target] = field(default_factory=list)
    not_asked: list[NotAsked] = field(default_factory=list)


def find(session: Session, selection: Selection) -> Found:
    """Who is named, each deployment once, or all that shall run.

    Raises NotFound for an unknown name, Forbidden for an alias of a deployment that the caller may not use, Conflict
    when nobody is named and nothing runs.
    """
    pointers = _pointers(session, selection.aliases)
    for pointer in pointers.values():
        if selection.allowed is not None and pointer.deployment not in selection.allowed:
            raise Forbidden(
                "forbidden", f"Your token is limited to other deployments than alias {pointer.name}'s."
            )
    experiment_ids = _experiment_ids(session, selection.experiments)
    names = [*selection.deployments, *(pointer.deployment for pointer in pointers.values())]
    query = _query()
    if selection.everybody:
        query = query.where(Deployment.desired == "running")
    else:
        query = query.where(
            Deployment.name.in_(names) | Deployment.experiment_id.in_(list(experiment_ids.values()))
        )
    if selection.allowed is not None:
        query = query.where(Deployment.name.in_(selection.allowed))
    known = {row.name: _target(row) for row in session.execute(query)}
    if selection.everybody and not known:
        raise Conflict(
            "nothing_deployed", "No deployment is running. Deploy a version of an experiment first."
        )
    if missing := [name for name in selection.deployments if name not in known]:
        raise NotFound(
            "deployment_unknown", f"There is no deployment {', '.join(missing[:10])}. See /v1/deployments."
        )
    return _sorted(session, selection, known, pointers, experiment_ids)


def of_names(session: Session, names: Collection[str]) -> dict[str, Target]:
    """The deployments with these names that there are, running or not."""
    return {row.name: _target(row) for row in session.execute(_query().where(Deployment.name.in_(names)))}


def _sorted(
    session: Session,
    selection: Selection,
    known: dict[str, Target],
    pointers: dict[str, aliases.Pointer],
    experiment_ids: dict[str, int],
) -> Found:
    """Who may be asked, in the order in which the call names them."""
    found = Found()
    chosen: dict[str, Target] = {name: known[name] for name in dict.fromkeys(selection.deployments)}
    for pointer in pointers.values():
        if pointer.deployment not in known:  # deleted since the aliases were read
            raise NotFound(
                "deployment_unknown",
                f"Deployment {pointer.deployment} of alias {pointer.name} has just been deleted. See /v1/aliases.",
            )
        target = known[pointer.deployment]
        if pointer.stale:
            found.not_asked.append(target.not_asked("alias_stale", pointer.stale))
        else:
            chosen[pointer.deployment] = _behind(session, pointer, target)
    for name, experiment_id in experiment_ids.items():
        # Those of an experiment that are stopped were not named themselves.
        mine = [one for one in known.values() if one.experiment_id == experiment_id and one.running]
        for one in mine:
            chosen.setdefault(one.name, one)
        if not mine:
            detail = "No running deployment serves it. Deploy a version of it first."
            found.not_asked.append(
                NotAsked(deployment=None, experiment=name, reason="not_deployed", detail=detail)
            )
    for target in known.values() if selection.everybody else chosen.values():
        if target.running:
            found.targets.append(target)
        else:
            found.not_asked.append(target.not_asked("stopped", "The deployment is stopped. Start it first."))
    return found


def _query() -> Select[Any]:
    newest = select(func.max(DeploymentEvent.id)).where(DeploymentEvent.deployment == Deployment.name)
    return (
        select(Deployment.name, Deployment.experiment_id, Deployment.runtime, Deployment.desired)
        .add_columns(Deployment.observed_state, Deployment.observed_version, Deployment.response_seconds)
        .add_columns(newest.scalar_subquery().label("event"))
        .add_columns(Experiment.name.label("experiment"), ModelVersion.archive_settings, *VERSION_COLUMNS)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .order_by(Deployment.name)
    )


def version_of(row: Row[Any] | Any) -> AnsweringVersion:
    """The version in a row with VERSION_COLUMNS."""
    found = interface.of_documents(row.inputs, row.outputs, row.labels, row.handler, row.task)
    return AnsweringVersion(row.id, row.number, row.sha256, found)


def _target(row: Row[Any]) -> Target:
    limits = ServingOptions(response_seconds=row.response_seconds).or_of_archive(row.archive_settings)
    return Target(
        name=row.name,
        experiment=row.experiment,
        experiment_id=row.experiment_id,
        runtime=row.runtime,
        running=row.desired == "running",
        ready=row.observed_state == "ready" and row.observed_version == row.number,
        response_seconds=limits.response_seconds,
        desired=version_of(row),
        deployment_event=row.event,
    )


def _pointers(session: Session, names: Sequence[str]) -> dict[str, aliases.Pointer]:
    """Where these aliases point, in this order; raises NotFound."""
    found = {pointer.name: pointer for pointer in aliases.pointers(session, names)} if names else {}
    if missing := [name for name in names if name not in found]:
        raise NotFound("alias_unknown", f"There is no alias {', '.join(missing[:10])}. See /v1/aliases.")
    return {name: found[name] for name in dict.fromkeys(names)}


def _behind(session: Session, pointer: aliases.Pointer, target: Target) -> Target:
    """The target as an alias means it: at the alias's version, which the deployment may not serve any more."""
    version = target.desired
    if version.number != pointer.version or target.experiment != pointer.experiment:
        version = version_of(versions.find(session, pointer.experiment, pointer.version))
    return replace(
        target,
        alias=pointer.name,
        desired=version,
        version=str(pointer.version),
        alias_event=pointer.event_id,
    )


def _experiment_ids(session: Session, names: Sequence[str]) -> dict[str, int]:
    return {row.name: row.id for row in experiments.find(session, names)} if names else {}
