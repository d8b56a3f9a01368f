"""Versions: a `.mar` comes in, is checked, is rewritten canonically and becomes the next number of its experiment.

Called by the routes for versions and artifacts, and by deployments for the version that they name.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api.database import pages
from metadata_api.database.object_tables import VersionNumber
from metadata_api.database.session import Sessions
from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.environments import Environments
from metadata_api.errors import Invalid, NotFound
from metadata_api.objects import ledger
from metadata_api.objects.repair import RepairedStore
from metadata_api.schemas.versions import Version, VersionPage, tensors
from metadata_api.signatures import Signatures, Signer
from serving_runtime.archive import interface, mar, needs
from serving_runtime.archive.interface import Interface
from serving_runtime.archive.tensor_kinds import as_document
from serving_runtime.contracts import BASE_ENVIRONMENT

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """A `.mar` as it came in: its bytes, their sha256, where they come from, and their signature if they have one.

    `by` is the verified subject of the caller and `address` its address; nothing that the body says.
    """

    path: Path
    sha256: str
    by: str
    address: str
    signature: bytes | None = None
    create_experiment: bool = False
    """Whether the experiment is made with its first version."""


def require_experiment(session: Session, name: str) -> None:
    """Raise NotFound unless there is an experiment of this name."""
    if session.scalar(select(Experiment.id).where(Experiment.name == name)) is None:
        raise _no_experiment(name)


def publish(
    sessions: Sessions,
    artifacts: RepairedStore,
    signatures: Signatures,
    environments: Environments,
    experiment: str,
    upload: Upload,
    quota: int = 0,
) -> tuple[Version, bool]:
    """Check and rewrite an uploaded `.mar`, store it and register it; False when it was there already.

    Only the rewritten bytes are kept, because Python and Java can read different files out of one
    hostile zip. The archive is claimed and stored before its row is committed: a row never lacks its bytes.
    `quota` is the most bytes that all archives may have, 0 means any number.
    Raises Invalid for a signature that is missing or wrong, and with the code of `mar.MarError`, Conflict when no
    environment here has what the archive imports, NotFound, OutOfSpace.
    """
    signer = signatures.check(upload.signature, upload.sha256)
    with artifacts.temporary() as canonical:
        try:
            info = mar.rewrite(upload.path, canonical)
            needed = needs.read(canonical, info)
        except mar.MarError as error:
            raise Invalid(error.code, str(error)) from error
        row = _row(info, upload, signer)
        row.environment = environments.choose(needed, row.environment or "")
        row.environment_sha256 = environments.sha256(row.environment)
        if not ledger.knows(sessions, ledger.ARCHIVE, row.sha256):
            artifacts.require_room()
            ledger.require_quota(sessions, ledger.ARCHIVE, row.size, quota)
        ledger.claim(sessions, ledger.ARCHIVE, row.sha256, row.size)
        artifacts.adopt(canonical)
    with sessions.begin() as session:
        if upload.create_experiment:
            new = insert(Experiment).values(name=experiment, display_name=experiment)
            session.execute(new.on_conflict_do_nothing())
        return _register(session, experiment, row)


def show(session: Session, experiment: str, number: int) -> Version:
    """One version; raises NotFound."""
    return _page(session, [find(session, experiment, number)])[0]


def list_page(session: Session, experiment: str, *, limit: int, before: int | None) -> VersionPage:
    """The `limit` newest versions, or those numbered below `before`; fewer when they are large. Raises NotFound."""
    require_experiment(session, experiment)
    mine = select(ModelVersion).join(Experiment).where(Experiment.name == experiment)
    total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
    rows, following = pages.newest(
        session, mine, ModelVersion.number, limit=limit, before=before, large=_LARGE
    )
    return VersionPage(items=_page(session, rows), total=total, next=following)


def list_all(session: Session, *, search: str, limit: int, before: int | None) -> VersionPage:
    """The `limit` newest versions of all experiments that hold `search` in a name, or those behind a cursor."""
    query = select(ModelVersion).join(Experiment)
    if search:
        names = (Experiment.name, Experiment.display_name)
        query = query.where(or_(*(name.icontains(search, autoescape=True) for name in names)))
    total = session.scalar(query.with_only_columns(func.count(ModelVersion.id))) or 0
    rows, following = pages.newest(session, query, ModelVersion.id, limit=limit, before=before, large=_LARGE)
    return VersionPage(items=_page(session, rows), total=total, next=following)


_LARGE = (
    ModelVersion.inputs,
    ModelVersion.outputs,
    ModelVersion.labels,
    ModelVersion.files,
    ModelVersion.metrics,
)


def _page(session: Session, rows: Sequence[ModelVersion]) -> list[Version]:
    """Rows as bodies; experiments and deployments come by one query each."""
    wanted = {row.experiment_id for row in rows}
    names = dict(
        session.execute(select(Experiment.id, Experiment.name).where(Experiment.id.in_(wanted))).all()
    )
    serving = served_by(session, [row.id for row in rows])
    return [_shown(names[row.experiment_id], row, serving.get(row.id, ())) for row in rows]


def served_by(session: Session, ids: Collection[int]) -> dict[int, list[str]]:
    """Names of the deployments that are to serve each of these versions; one that none serves is left out."""
    served: dict[int, list[str]] = {}
    deployed = select(Deployment.version_id, Deployment.name).where(Deployment.version_id.in_(ids))
    for version_id, name in session.execute(deployed.order_by(Deployment.name)):
        served.setdefault(version_id, []).append(name)
    return served


def find(session: Session, experiment: str, number: int | None) -> ModelVersion:
    """The row of a version, without a number the latest; raises NotFound."""
    query = select(ModelVersion).join(Experiment).where(Experiment.name == experiment)
    if number is not None:
        query = query.where(ModelVersion.number == number)
    row = session.scalar(query.order_by(ModelVersion.number.desc()).limit(1))
    if row is None:
        require_experiment(session, experiment)
        missing = "any version yet" if number is None else f"a version {number}"
        raise NotFound(
            "version_unknown", f"Experiment {experiment} does not have {missing}. Upload its .mar."
        )
    return row


def interface_of(row: ModelVersion) -> Interface:
    """What the version's model takes and gives, and its task; derived for a row from before that was stored."""
    return interface.of_documents(row.inputs, row.outputs, row.labels, row.handler, row.task)


def archive(sessions: Sessions, artifacts: RepairedStore, experiment: str, number: int) -> tuple[str, int]:
    """sha256 and size of a version's stored bytes; raises NotFound, and Unavailable when they are missing."""
    with sessions() as session:
        row = find(session, experiment, number)
    artifacts.require(row.sha256)
    return row.sha256, row.size


def _register(session: Session, experiment: str, row: ModelVersion) -> tuple[Version, bool]:
    # The lock gives concurrent uploads their numbers one after the other; it lets foreign keys through.
    lock = select(Experiment.id).where(Experiment.name == experiment).with_for_update(key_share=True)
    experiment_id = session.scalar(lock)
    if experiment_id is None:
        raise _no_experiment(experiment)
    same = select(ModelVersion).where(
        ModelVersion.experiment_id == experiment_id, ModelVersion.sha256 == row.sha256
    )
    if (existing := session.scalar(same)) is not None:
        ledger.keep(session, ledger.ARCHIVE, row.sha256)
        # Whoever signs what was uploaded before need not change it for that.
        if row.signed_by is not None and existing.signed_by is None:
            existing.signed_by, existing.signing_key_sha256 = row.signed_by, row.signing_key_sha256
        return _page(session, [existing])[0], False
    row.experiment_id, row.number = experiment_id, _next_number(session, experiment, experiment_id)
    session.add(row)
    session.flush()
    ledger.keep(session, ledger.ARCHIVE, row.sha256)
    return _shown(experiment, row), True


def _next_number(session: Session, experiment: str, experiment_id: int) -> int:
    """One that no version of an experiment of this name ever had, as addresses with it are kept for ever."""
    newest = select(func.max(ModelVersion.number)).where(ModelVersion.experiment_id == experiment_id)
    given = select(VersionNumber.last).where(VersionNumber.experiment == experiment)
    number = max(session.scalar(newest) or 0, session.scalar(given) or 0) + 1
    new = insert(VersionNumber).values(experiment=experiment, last=number)
    session.execute(new.on_conflict_do_update(index_elements=["experiment"], set_={"last": number}))
    return number


def _row(info: mar.MarInfo, upload: Upload, signer: Signer | None) -> ModelVersion:
    spec, taken, metrics = info.spec, info.interface, (info.training or {}).get("metrics")
    return ModelVersion(
        sha256=info.sha256,
        uploaded_sha256=upload.sha256,
        uploaded_by=upload.by,
        uploaded_from=upload.address,
        signed_by=signer.name if signer else None,
        signing_key_sha256=signer.key_sha256 if signer else None,
        size=info.size,
        handler=info.handler,
        files=list(info.files),
        inputs=[as_document(tensor) for tensor in taken.inputs],
        outputs=[as_document(tensor) for tensor in taken.outputs],
        labels=list(taken.labels),
        task=taken.task,
        environment=(spec.environment if spec else "") or None,
        metrics=metrics if isinstance(metrics, dict) else None,
        archive_settings=info.config.settings if info.config is not None else None,
        golden=_storable("golden.json", info.golden),
        training=_storable("training.json", info.training),
    )


def _storable(what: str, value: T) -> T:
    """The value, or Invalid when it is good JSON that Postgres cannot hold: NUL, half a surrogate pair."""
    encoded = json.dumps(value, ensure_ascii=False)
    if "\\u0000" in encoded or encoded != encoded.encode(errors="replace").decode():
        raise Invalid(
            "not_storable", f"The archive's {what} has characters that no database holds. Remove them."
        )
    return value


def _shown(experiment: str, row: ModelVersion, deployments: Sequence[str] = ()) -> Version:
    taken = interface_of(row)
    return Version(
        experiment=experiment,
        version=row.number,
        sha256=row.sha256,
        uploaded_sha256=row.uploaded_sha256,
        uploaded_by=row.uploaded_by,
        uploaded_from=row.uploaded_from,
        signed_by=row.signed_by,
        signing_key_sha256=row.signing_key_sha256,
        size=row.size,
        task=taken.task,
        environment=row.environment or BASE_ENVIRONMENT,
        inputs=tensors(taken.inputs),
        outputs=tensors(taken.outputs),
        labels=row.labels,
        handler=row.handler,
        files=row.files,
        metrics=row.metrics,
        archive_settings=row.archive_settings,
        deployments=list(deployments),
        created_at=row.created_at,
        download=f"/artifacts/{experiment}/{row.number}/{experiment}.mar",
    )


def _no_experiment(name: str) -> NotFound:
    return NotFound("experiment_unknown", f"There is no experiment {name}. Create it first.")
