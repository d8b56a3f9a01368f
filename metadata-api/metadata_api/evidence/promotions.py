"""Promotions: a candidate takes an alias when every rule of the policy is passed, or somebody forces it.

The evidence is read and the alias moved in one transaction, under the alias's lock: two that promote at once come one
after the other, and a label that comes meanwhile counts in the next standing. What decided is stored with the move.
"""

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from metadata_api import alias_changes, aliases, versions
from metadata_api.alias_events import Change
from metadata_api.auth.principal import Principal
from metadata_api.database.tables import Alias, Deployment, Experiment, ModelVersion
from metadata_api.errors import Conflict, Invalid, NotFound
from metadata_api.evidence import duels, eprocess, policies, queue, replayed, scores
from metadata_api.evidence.eprocess import Counts
from metadata_api.schemas import policies as bodies
from serving_runtime.contracts import Role

# The candidate may lose so many labels of a class alone before the class counts as worse: one label decides nothing.
LEAST_LOSSES = 2


class Refused(Conflict):
    """The policy says no; the standing, which goes along, says why."""

    def __init__(self, standing: bodies.Preview, detail: str) -> None:
        super().__init__("promotion_refused", detail)
        self.more = {"standing": standing.model_dump(mode="json")}


@dataclass(frozen=True)
class _Side:
    """A deployment, and the version that is compared."""

    deployment: Deployment
    version: ModelVersion
    experiment: str

    @property
    def shown(self) -> bodies.Side:
        return bodies.Side(
            deployment=self.deployment.name, experiment=self.experiment, version=self.version.number
        )


def promote(session: Session, name: str, new: bodies.Promotion, caller: Principal) -> bodies.Preview:
    """Let a candidate take an alias; returns what decided.

    Raises Refused when a rule of the policy fails, Forbidden and Invalid for a force without the role or a reason,
    NotFound and Conflict for an alias or a candidate that cannot be promoted at all.
    """
    if new.force:
        caller.require(Role.ADMIN)
        if not new.reason.strip():
            raise Invalid("reason_missing", "A forced promotion needs a reason. Say why in `reason`.")
    found: list[bodies.Preview] = []

    def decide(alias: Alias, deployment: Deployment) -> Change:
        standing = _standing(session, alias, deployment)
        found.append(standing)
        if not standing.promotable and not new.force:
            raise Refused(standing, _refusal(standing))
        return Change("promote", caller.subject, new.reason, _kept(standing, forced=new.force))

    alias_changes.move_if(session, name, new.candidate, decide)
    return found[0]


def preview(session: Session, name: str, candidate: str) -> bodies.Preview:
    """How a candidate stands against what an alias points at; changes nothing. Raises NotFound."""
    alias = session.scalar(select(Alias).where(Alias.name == name))
    if alias is None:
        raise aliases.unknown(name)
    deployment = session.scalar(select(Deployment).where(Deployment.name == candidate))
    if deployment is None:
        raise NotFound("deployment_unknown", f"There is no deployment {candidate}. See /v1/deployments.")
    return _standing(session, alias, deployment)


def _standing(session: Session, alias: Alias, deployment: Deployment) -> bodies.Preview:
    """The candidate against the champion by all labels of now."""
    policy = policies.of(session, alias.id)
    candidate = _side(session, deployment, deployment.version_id)
    behind = session.scalars(select(Deployment).where(Deployment.id == alias.deployment_id)).one()
    champion = _side(session, behind, alias.version_id)
    task = policy.task or versions.interface_of(champion.version).task
    is_same = candidate.version.id == champion.version.id
    pairs = [] if is_same else scores.paired(session, task, candidate.version.id, champion.version.id)
    counts, margin = duels.count(pairs), policy.test.margin
    classes = duels.classes(pairs)
    answers = duels.answers(session, deployment.name, candidate.experiment, candidate.version.number)
    log_e = eprocess.log_evidence(counts, margin)
    replay = replayed.newest(
        session, champion.version.id, candidate.version.id, champion.shown, candidate.shown
    )
    rules = [
        _ready(candidate),
        _other(candidate, champion),
        _same_task(task, candidate, champion),
        _enough(counts, policy),
        _evidence(counts, log_e, policy),
        *_classes(classes, policy),
        *_answers(answers, policy),
        *([replayed.rule(replay)] if policy.replay else []),
    ]
    missing, estimate = _missing(counts, policy)
    low, high = eprocess.win_rate_interval(counts, policy.test.alpha)
    return bodies.Preview(
        task=task,
        champion=champion.shown,
        candidate=candidate.shown,
        policy=policy,
        labels=counts.labels,
        wins=counts.wins,
        losses=counts.losses,
        ties=counts.ties,
        chosen_at_random=sum(pair.chosen == "random" for pair in pairs),
        labelled_before=sum(pair.first_labelled_at < candidate.version.created_at for pair in pairs),
        log_e=log_e,
        log_threshold=-math.log(policy.test.alpha),
        win_rate=counts.wins / counts.discordant if counts.discordant else None,
        win_rate_interval=(low, high),
        classes=classes,
        p95_ms=answers.p95_ms,
        error_share=answers.error_share,
        rules=rules,
        promotable=all(rule.passed for rule in rules),
        labels_missing=missing,
        estimate=estimate,
        replay=replay,
        better=duels.flips(session, pairs, better=True),
        worse=duels.flips(session, pairs, better=False),
        undecided=queue.deciding(session, task, candidate.version.id, champion.version.id),
        steps=duels.steps(pairs, margin),
    )


def _side(session: Session, deployment: Deployment, version_id: int) -> _Side:
    version, experiment = session.execute(
        select(ModelVersion, Experiment.name)
        .join(Experiment, ModelVersion.experiment_id == Experiment.id)
        .where(ModelVersion.id == version_id)
    ).one()
    return _Side(deployment, version, experiment)


def _ready(candidate: _Side) -> bodies.Rule:
    row = candidate.deployment
    ready = (
        row.desired == "running"
        and row.observed_state == "ready"
        and row.observed_version == candidate.version.number
    )
    how = "is ready" if ready else f"is not ready. /v1/deployments/{row.name} says why"
    return bodies.Rule(rule="ready", passed=ready, detail=f"Deployment {row.name} {how}.")


def _other(candidate: _Side, champion: _Side) -> bodies.Rule:
    other = candidate.version.id != champion.version.id
    detail = (
        f"Version {candidate.version.number} of {candidate.experiment} against version "
        f"{champion.version.number} of {champion.experiment}."
        if other
        else "Candidate and champion are the same version: there is nothing to decide. Choose another candidate."
    )
    return bodies.Rule(rule="other_version", passed=other, detail=detail)


def _same_task(task: str, candidate: _Side, champion: _Side) -> bodies.Rule:
    others = [
        f"{side.deployment.name} has {found}"
        for side in (candidate, champion)
        if (found := versions.interface_of(side.version).task) != task
    ]
    detail = f"The task is {task}, but {' and '.join(others)}." if others else f"Both have the task {task}."
    return bodies.Rule(rule="same_task", passed=not others, detail=detail)


def _enough(counts: Counts, policy: bodies.AliasPolicy) -> bodies.Rule:
    lacking = max(0, policy.min_labels - counts.labels)
    detail = f"{counts.labels} of {policy.min_labels} labelled inputs that both answered"
    more = f": {lacking} missing." if lacking else "."
    return bodies.Rule(rule="min_labels", passed=not lacking, detail=detail + more)


def _evidence(counts: Counts, log_e: float, policy: bodies.AliasPolicy) -> bodies.Rule:
    passed = log_e >= -math.log(policy.test.alpha)
    what = f"not worse by {policy.test.margin:.1%}" if policy.test.margin else "better"
    detail = (
        f"The evidence that the candidate is {what} is {_e_value(log_e)}, {'at least' if passed else 'below'} "
        f"{1 / policy.test.alpha:.4g}: {counts.wins} wins, {counts.losses} losses, {counts.ties} ties."
    )
    return bodies.Rule(rule="evidence", passed=passed, detail=detail)


def _classes(classes: list[bodies.ClassDuel], policy: bodies.AliasPolicy) -> list[bodies.Rule]:
    limit = policy.no_class_worse_than
    if limit is None:
        return []
    worse = [
        one
        for one in classes
        if one.losses - one.wins >= LEAST_LOSSES and (one.losses - one.wins) / one.labels > limit
    ]
    named = ", ".join(
        f"{one.label} by {(one.losses - one.wins) / one.labels:.1%} of {one.labels} labels"
        for one in worse[:10]
    )
    detail = (
        f"Worse than {limit:.1%} on {named}." if worse else f"No class is worse by more than {limit:.1%}."
    )
    return [bodies.Rule(rule="no_class_worse_than", passed=not worse, detail=detail)]


def _answers(answers: duels.Answers, policy: bodies.AliasPolicy) -> list[bodies.Rule]:
    found = []
    if (most := policy.max_p95_ms) is not None:
        known = answers.p95_ms is not None
        detail = (
            f"95 % of the newest answers took at most {answers.p95_ms:.1f} ms; the limit is {most:g} ms."
            if known
            else "No answer of the candidate is recorded yet. Ask it first."
        )
        passed = answers.p95_ms is not None and answers.p95_ms <= most
        found.append(bodies.Rule(rule="max_p95_ms", passed=passed, detail=detail))
    if (share := policy.max_error_share) is not None:
        errors = answers.error_share or 0.0
        detail = f"{errors:.1%} of the newest answers are errors; the limit is {share:.1%}."
        found.append(bodies.Rule(rule="max_error_share", passed=errors <= share, detail=detail))
    return found


def _missing(counts: Counts, policy: bodies.AliasPolicy) -> tuple[int | None, str]:
    """How many labels are missing for both rules about them, and what that rests on."""
    lacking = max(0, policy.min_labels - counts.labels)
    alpha, margin = policy.test.alpha, policy.test.margin
    if not counts.discordant and not margin:
        fewest = eprocess.fewest_labels(alpha)
        return max(lacking, fewest), (
            f"Both were never right alone yet. At least {fewest} inputs are needed on which only the candidate is."
        )
    found = eprocess.labels_missing(counts, alpha, margin)
    if found is None:
        return None, (
            f"With {counts.wins} wins and {counts.losses} losses no number of labels would decide for the "
            "candidate if it goes on like this."
        )
    missing = max(lacking, found)
    if not missing:
        return 0, "The labels decide it."
    return missing, (
        f"About {missing} more labels, if wins and losses go on as so far ({counts.wins} and {counts.losses} of "
        f"{counts.labels} labels), with half a win and half a loss added."
    )


def _refusal(standing: bodies.Preview) -> str:
    failed = " ".join(rule.detail for rule in standing.rules if not rule.passed)
    more = f" About {standing.labels_missing} more labels would decide it." if standing.labels_missing else ""
    return f"{standing.candidate.deployment} is not promoted. {failed}{more}"


def _kept(standing: bodies.Preview, *, forced: bool) -> dict[str, Any]:
    """What is stored with the move: all that decided, without the lists behind it."""
    lists = {"better", "worse", "undecided", "steps"}
    return {"forced": forced, **standing.model_dump(mode="json", exclude=lists)}


def _e_value(log_e: float) -> str:
    return f"{math.exp(log_e):.3g}" if log_e < 20 else f"10^{log_e / math.log(10):.1f}"
