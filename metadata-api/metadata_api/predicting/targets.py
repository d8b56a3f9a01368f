"""The deployments that a call for predictions asks, and versions that may answer; called by `predictions`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.deploying.base import ServingOptions
from metadata_api.errors import Conflict, NotFound

Json = dict[str, Any]
VERSION_COLUMNS = (ModelVersion.id, ModelVersion.number, ModelVersion.sha256, ModelVersion.labels)


@dataclass(frozen=True)
class AnsweringVersion:
    """A version that may have answered."""

    id: int
    number: int
    sha256: str
    labels: list[str]


@dataclass(frozen=True)
class Target:
    """A deployment to ask, and its desired version."""

    name: str
    experiment: str
    experiment_id: int
    runtime: str
    running: bool
    image_input: str | None
    """Name of the input that takes an image file, if that is all the model takes."""
    response_seconds: int | None
    """How long its server may take to answer, where that is not the installation's default."""
    desired: AnsweringVersion


def find_targets(session: Session, names: Sequence[str]) -> list[Target]:
    """The named deployments, each once, or all that shall run; raises NotFound and Conflict."""
    # Columns instead of rows: a version's golden pair and training record are large and not needed.
    query = (
        select(Deployment.name, Deployment.experiment_id, Deployment.runtime, Deployment.desired)
        .add_columns(Experiment.name.label("experiment"), ModelVersion.inputs, *VERSION_COLUMNS)
        .add_columns(Deployment.response_seconds, ModelVersion.archive_settings)
        .join(Experiment, Deployment.experiment_id == Experiment.id)
        .join(ModelVersion, Deployment.version_id == ModelVersion.id)
        .order_by(Deployment.name)
    )
    query = query.where(Deployment.name.in_(names)) if names else query.where(Deployment.desired == "running")
    found = {
        row.name: Target(
            name=row.name,
            experiment=row.experiment,
            experiment_id=row.experiment_id,
            runtime=row.runtime,
            running=row.desired == "running",
            image_input=_image_input(row.inputs),
            response_seconds=ServingOptions(response_seconds=row.response_seconds)
            .or_of_archive(row.archive_settings)
            .response_seconds,
            desired=AnsweringVersion(row.id, row.number, row.sha256, row.labels),
        )
        for row in session.execute(query)
    }
    if not names:
        if not found:
            raise Conflict(
                "nothing_deployed", "No deployment is running. Deploy a version of an experiment first."
            )
        return list(found.values())
    if missing := [name for name in names if name not in found]:
        raise NotFound(
            "deployment_unknown", f"There is no deployment {', '.join(missing[:10])}. See /v1/deployments."
        )
    return [found[name] for name in dict.fromkeys(names)]


def _image_input(inputs: Sequence[Json]) -> str | None:
    if len(inputs) != 1:
        return None
    only = inputs[0]
    takes = {only["datatype"], *only.get("accepts", ())}
    return str(only["name"]) if "BYTES" in takes else None
