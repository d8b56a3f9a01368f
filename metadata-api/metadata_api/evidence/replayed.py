"""What the newest replay of two versions came to, for the rule of a policy that asks for one; see `promotions`."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api.database.replay_tables import Replay
from metadata_api.schemas.policies import ReplayOfBoth, Rule, Side
from metadata_api.schemas.replays import ReplayedPair, ReplayReport


def newest(
    session: Session, champion_id: int, candidate_id: int, champion: Side, candidate: Side
) -> ReplayOfBoth | None:
    """The newest replay that is done and has answers of both versions; None where there is none."""
    both = Replay.version_ids.contains([champion_id, candidate_id])
    done = select(Replay.id, Replay.report).where(Replay.state == "done", both)
    row = session.execute(done.order_by(Replay.id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    report = ReplayReport.model_validate(row.report)
    first = report.versions[0]
    for one, other in ((champion, candidate), (candidate, champion)):
        # By what was served then: the deployments may serve other versions by now.
        if (first.experiment, first.version) == (one.experiment, one.version):
            pair = _pair(report, other)
            if pair is not None:
                worse, better = pair.worse, pair.better
                if one is candidate:
                    worse, better = better, worse
                return ReplayOfBoth(
                    number=row.id, inputs=pair.inputs, flips=pair.flips, worse=worse, better=better
                )
    return ReplayOfBoth(number=row.id)


def rule(found: ReplayOfBoth | None) -> Rule:
    """The rule that a replay of both is done."""
    if found is None:
        detail = "No replay has answers of both. Start one: POST /v1/replays with both deployments."
    elif found.inputs is None:
        detail = f"Replay {found.number} has answers of both, each beside those of a third."
    else:
        detail = (
            f"Replay {found.number} has answers of both to {found.inputs} inputs: {found.flips} differ; by the "
            f"labels {found.better} become right and {found.worse} wrong."
        )
    return Rule(rule="replay", passed=found is not None, detail=detail)


def _pair(report: ReplayReport, other: Side) -> ReplayedPair | None:
    names = {
        one.deployment
        for one in report.versions
        if (one.experiment, one.version) == (other.experiment, other.version)
    }
    return next((pair for pair in report.against_first if pair.deployment in names), None)
