"""Deletes experiments, versions, inputs, predictions and imports, each with what depends on it or not at all.

What serves is never taken away by a deletion: deployments and aliases have to go first. Everything else that depends
on the thing is named, and goes when the caller says so by `cascade`. Stored bytes follow after the grace time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from metadata_api import experiments
from metadata_api.database.evidence_tables import Label
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.session import deadline
from metadata_api.database.tables import Alias, Deployment, Experiment, Import, ModelVersion
from metadata_api.errors import Conflict, NotFound
from metadata_api.objects import ledger
from metadata_api.schemas.deletions import Deletion

# Many predictions may be about one thing.
STATEMENT_SECONDS = 60.0


@dataclass(frozen=True)
class Consent:
    """What the caller agreed to: that what depends on the thing goes too, or only to be told."""

    cascade: bool
    dry_run: bool


def delete_experiment(session: Session, name: str, consent: Consent) -> Deletion:
    """Delete an experiment with curves and versions; raises NotFound, and Conflict that names what depends on it."""
    row = session.scalar(select(Experiment).where(Experiment.name == name).with_for_update())
    if row is None:
        raise experiments.unknown(name)
    versions = session.scalars(
        select(ModelVersion).where(ModelVersion.experiment_id == row.id).order_by(ModelVersion.number)
    ).all()
    said = Deletion(
        deleted=not consent.dry_run,
        experiments=[name],
        versions=[f"{name}/{one.number}" for one in versions],
        predictions_kept=_count_predictions(session, versions),
        blocked_by=_what_serves(session, versions, Deployment.experiment_id == row.id),
    )
    _agree(f"Experiment {name}", said, consent)
    if not consent.dry_run:
        _delete_versions(session, versions)
        session.delete(row)
        session.flush()
    return said


def delete_version(session: Session, name: str, number: int, consent: Consent) -> Deletion:
    """Delete a version; its number is never given again. Raises NotFound, and Conflict as `delete_experiment`."""
    row = session.scalar(
        select(ModelVersion)
        .join(Experiment, ModelVersion.experiment_id == Experiment.id)
        .where(Experiment.name == name, ModelVersion.number == number)
        .with_for_update()
    )
    if row is None:
        raise NotFound("version_unknown", f"Experiment {name} does not have a version {number}.")
    said = Deletion(
        deleted=not consent.dry_run,
        versions=[f"{name}/{number}"],
        predictions_kept=_count_predictions(session, [row]),
        blocked_by=_what_serves(session, [row], Deployment.version_id == row.id),
    )
    _agree(f"Version {number} of {name}", said, consent)
    if not consent.dry_run:
        _delete_versions(session, [row])
    return said


def delete_input(session: Session, sha256: str, consent: Consent) -> Deletion:
    """Delete an input with the predictions and labels about it; raises NotFound, and Conflict while there are any."""
    row = session.scalar(select(Input).where(Input.sha256 == sha256).with_for_update())
    if row is None:
        raise NotFound("input_unknown", f"There is no input {sha256}.")
    mine = Prediction.input_sha256 == sha256
    count = session.scalar(select(func.count()).where(mine)) or 0
    labelled = Label.input_sha256 == sha256
    labels = session.scalar(select(func.count()).where(labelled)) or 0
    said = Deletion(deleted=not consent.dry_run, inputs=1, predictions=count, labels=labels)
    _agree(f"Input {sha256}", said, consent)
    if not consent.dry_run:
        with deadline(STATEMENT_SECONDS):
            session.execute(delete(Prediction).where(mine))
        session.execute(delete(Label).where(labelled))
        session.delete(row)
        ledger.release(session, ledger.INPUT, [sha256])
    return said


def delete_prediction(session: Session, uid: UUID) -> Deletion:
    """Delete a prediction, and its input when no other and no label is about it; raises NotFound."""
    row = session.scalar(select(Prediction).where(Prediction.uid == uid).with_for_update())
    if row is None:
        raise NotFound("prediction_unknown", f"There is no prediction {uid}.")
    session.delete(row)
    session.flush()
    inputs = delete_unused_inputs(session, [row.input_sha256])
    return Deletion(deleted=True, predictions=1, inputs=inputs)


def delete_import(session: Session, number: int) -> Deletion:
    """Delete the report of an import; the experiments stay. Raises NotFound."""
    row = session.get(Import, number)
    if row is None:
        raise NotFound("import_unknown", f"There is no import {number}. See /v1/imports.")
    session.delete(row)
    return Deletion(deleted=True, imports=1)


def delete_unused_inputs(session: Session, digests: Sequence[str]) -> int:
    """Delete those inputs that neither a prediction nor a label is about; how many those were."""
    # Skipped is what somebody is just asking about; a new statement sees the predictions that are there by now.
    free = select(Input.sha256).where(Input.sha256.in_(digests)).with_for_update(skip_locked=True)
    candidates = session.scalars(free.order_by(Input.sha256)).all()
    gone = session.scalars(
        delete(Input).where(Input.sha256.in_(candidates), is_unused()).returning(Input.sha256)
    ).all()
    ledger.release(session, ledger.INPUT, gone)
    return len(gone)


def is_unused() -> ColumnElement[bool]:
    """Whether nothing is about an input."""
    asked = exists().where(Prediction.input_sha256 == Input.sha256)
    return ~asked & ~exists().where(Label.input_sha256 == Input.sha256)


def _agree(what: str, said: Deletion, consent: Consent) -> None:
    """Raise Conflict unless the caller knows what goes too, and nothing stands in the way."""
    if consent.dry_run:
        return
    if said.blocked_by:
        raise Conflict(
            "in_use", f"{what} is served: {', '.join(said.blocked_by)}. Remove or move those first."
        )
    versions = said.versions if said.experiments else []
    more = [
        f"{len(versions)} versions ({', '.join(versions[:10])})" if versions else "",
        f"{said.predictions} predictions" if said.predictions else "",
        f"{said.labels} labels, which people gave" if said.labels else "",
        f"{said.predictions_kept} predictions, which stay as records" if said.predictions_kept else "",
    ]
    if any(more) and not consent.cascade:
        listed = " and ".join(one for one in more if one)
        raise Conflict(
            "has_dependents",
            f"{what} has {listed}. Repeat with ?cascade=true to delete it nevertheless; ?dry_run=true only tells.",
        )


def _what_serves(
    session: Session, versions: Sequence[ModelVersion], desired: ColumnElement[bool]
) -> list[str]:
    ids = [one.id for one in versions]
    # A version that answers while the desired one does not come up.
    answers = and_(
        Deployment.experiment_id.in_({one.experiment_id for one in versions}),
        Deployment.observed_version.in_({one.number for one in versions}),
    )
    serves = or_(desired, answers)
    deployments = session.scalars(select(Deployment.name).where(serves).order_by(Deployment.name))
    aliases = session.scalars(select(Alias.name).where(Alias.version_id.in_(ids)).order_by(Alias.name))
    return [*(f"deployment {name}" for name in deployments), *(f"alias {name}" for name in aliases)]


def _count_predictions(session: Session, versions: Sequence[ModelVersion]) -> int:
    ids = [one.id for one in versions]
    return session.scalar(select(func.count()).where(Prediction.version_id.in_(ids))) or 0


def _delete_versions(session: Session, versions: Sequence[ModelVersion]) -> None:
    ids = [one.id for one in versions]
    with deadline(STATEMENT_SECONDS):
        session.execute(update(Prediction).where(Prediction.version_id.in_(ids)).values(version_id=None))
    previous = Deployment.previous_version_id
    session.execute(update(Deployment).where(previous.in_(ids)).values(previous_version_id=None))
    for row in versions:
        session.delete(row)
    ledger.release(session, ledger.ARCHIVE, [one.sha256 for one in versions])
