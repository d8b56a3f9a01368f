"""Duels for tests: a champion and a candidate with answers and labels, as rows."""

from collections.abc import Iterable
from uuid import uuid4

from sqlalchemy import Engine, func, insert, select, text
from sqlalchemy.orm import Session

from metadata_api import alias_changes
from metadata_api.database.evidence_tables import Label
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.session import Sessions
from metadata_api.database.tables import Deployment, ModelVersion
from metadata_api.schemas.aliases import AliasTarget
from tests.metadata_api.making import make_deployment

TASK = "digits"


def make_duel(engine: Engine, sessions: Sessions, *others: str) -> None:
    """The alias `champion` at deployment `old`, beside a ready deployment `new`, and more where they are named."""
    for name in ("old", "new", *others):
        make_deployment(engine, name)
    with sessions.begin() as session:
        session.execute(text("update model_versions set task = :task"), {"task": TASK})
        session.execute(text("update deployments set observed_state = 'ready', observed_version = 1"))
        alias_changes.put(session, "champion", AliasTarget(deployment="old"), (), "ada")


def make_pairs(
    sessions: Sessions,
    pairs: Iterable[tuple[bool, bool]],
    *,
    truth: str = "7",
    candidate: str = "new",
    champion: str = "old",
    labelled: bool = True,
    chosen: str = "random",
    latency_ms: float = 5.0,
) -> list[str]:
    """Inputs that both answered, each a pair (candidate right, champion right); returns their sha256, in order."""
    found = []
    with sessions.begin() as session:
        for candidate_right, champion_right in pairs:
            found.append(sha256 := uuid4().hex * 2)
            session.execute(
                insert(Input).values(
                    sha256=sha256, kind="image", media_type="image/png", size=1, width=1, height=1
                )
            )
            for name, right in ((candidate, candidate_right), (champion, champion_right)):
                answer(session, name, sha256, truth if right else "wrong", latency_ms=latency_ms)
            if labelled:
                label(session, sha256, truth, chosen=chosen)
    return found


def label(session: Session, sha256: str, truth: str, *, chosen: str = "random") -> None:
    """What is right about an input."""
    session.execute(
        insert(Label).values(
            input_sha256=sha256,
            task=TASK,
            label=truth,
            note="",
            author="ada",
            chosen=chosen,
            created_at=func.clock_timestamp(),
        )
    )


def answer(
    session: Session, deployment: str, sha256: str, said: str | None, *, latency_ms: float = 5.0
) -> None:
    """What a deployment said, None for an error."""
    version = session.execute(
        select(ModelVersion.id, ModelVersion.number)
        .join(Deployment, Deployment.version_id == ModelVersion.id)
        .where(Deployment.name == deployment)
    ).one()
    session.execute(
        insert(Prediction).values(
            uid=uuid4(),
            request_uid=uuid4(),
            input_sha256=sha256,
            deployment=deployment,
            source="api",
            version_id=version.id if said else None,
            status="ok" if said else "error",
            kind="probabilities",
            label=said,
            probabilities=[{"label": said, "probability": 0.9}] if said else None,
            error=None if said else "model_failed",
            latency_ms=latency_ms,
            lineage={"experiment": deployment, "desired_version": version.number, "version": version.number},
        )
    )
