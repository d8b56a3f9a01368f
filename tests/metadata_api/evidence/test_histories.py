"""Random histories of aliases and deployments, against a model in plain Python: `?at=` and lineage are always right."""

import random
import struct
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from metadata_api import alias_changes, alias_events, alias_rollbacks, environments
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.session import Sessions
from metadata_api.deploying.helm_release import HelmRelease
from metadata_api.deployments import changes
from metadata_api.deployments.events import By
from metadata_api.errors import MarinaError, NotFound
from metadata_api.evidence import lineage
from metadata_api.predicting import results, targets
from metadata_api.predicting.results import Outcome
from metadata_api.predicting.targets import Selection
from metadata_api.predicting.v2_client import ModelOutput
from metadata_api.schemas.aliases import AliasTarget
from metadata_api.schemas.deployments import DeploymentChange, NewDeployment
from serving_runtime.protocol.tensors import Tensor
from tests.metadata_api.making import make_experiment, make_version

RELEASE = HelmRelease()
ENVIRONMENTS = environments.on_one_machine()
EXPERIMENTS = ("red", "green", "blue")
DEPLOYMENTS = ("first", "second")
NAMES = ("champion", "shadow")
SHA256 = "a" * 64
Target = tuple[str, str, int]
"""Deployment, experiment and version."""
SURE = Tensor("probabilities", "FP32", (1, 10), struct.pack("<10f", 1, *[0] * 9))


@dataclass
class Model:
    """What there is, in plain Python, and everything that ever was asked."""

    deployed: dict[str, tuple[str, int]] = field(default_factory=dict)
    pointed: dict[str, Target] = field(default_factory=dict)
    before: dict[str, Target] = field(default_factory=dict)
    """Where the name pointed before the last move."""
    who: dict[str, str] = field(default_factory=dict)
    moments: list[tuple[datetime, dict[str, Target], dict[str, str]]] = field(default_factory=list)
    answers: list[tuple[UUID, str | None, Target, str | None, dict[str, Target]]] = field(
        default_factory=list
    )


@pytest.fixture
def experiments(sessions: Sessions, engine: Engine) -> None:
    """Three experiments with two versions each, and an input."""
    for name in EXPERIMENTS:
        make_experiment(engine, name)
        for number in (1, 2):
            make_version(engine, number, experiment=name)
    with sessions.begin() as session:
        session.add(Input(sha256=SHA256, kind="image", media_type="image/png", size=1, width=1, height=1))


def live(sessions: Sessions, seed: int, *, steps: int = 14) -> None:
    """One random history in empty logs; then every moment of it is asked for, and every answer is traced."""
    chance = random.Random(seed)
    model = Model()
    for number in range(steps):
        step = chance.choice((deploy, deploy, drop, point, point, point, back, forget, ask, ask))
        step(sessions, model, chance, f"caller-{number}")
        with sessions() as session:
            now = session.scalars(select(func.clock_timestamp())).one()
        model.moments.append((now, dict(model.pointed), dict(model.who)))
    with sessions() as session:
        for moment, pointed, who in model.moments:
            for name in NAMES:
                assert then(session, name, moment) == (pointed.get(name), who.get(name))
        for answer in model.answers:
            check(session, *answer)


def deploy(sessions: Sessions, model: Model, chance: random.Random, who: str) -> None:
    """A new deployment, another version of it, or its roll back."""
    name = chance.choice(DEPLOYMENTS)
    with sessions.begin() as session:
        if name not in model.deployed:
            experiment, number = chance.choice(EXPERIMENTS), chance.choice((1, 2))
            changes.create(
                session,
                NewDeployment(experiment=experiment, version=number, name=name, runtime="native"),
                RELEASE,
                By(who, ""),
            )
        else:
            experiment, number = model.deployed[name]
            number = 3 - number
            changes.change(session, name, DeploymentChange(version=number), RELEASE, By(who, ""))
    model.deployed[name] = (experiment, number)


def drop(sessions: Sessions, model: Model, chance: random.Random, who: str) -> None:
    """A deployment goes, unless an alias points at it; its name may come back with another experiment."""
    name = chance.choice(DEPLOYMENTS)
    if name in model.deployed and name not in {target[0] for target in model.pointed.values()}:
        with sessions.begin() as session:
            changes.delete(session, name, RELEASE, By(who, ""))
        del model.deployed[name]


def point(sessions: Sessions, model: Model, chance: random.Random, who: str) -> None:
    """An alias is set or moved."""
    name, deployment = chance.choice(NAMES), chance.choice(DEPLOYMENTS)
    if deployment not in model.deployed:
        return
    target = (deployment, *model.deployed[deployment])
    with sessions.begin() as session:
        alias_changes.put(session, name, AliasTarget(deployment=deployment), (), who)
    moved(model, name, target, who)


def back(sessions: Sessions, model: Model, chance: random.Random, who: str) -> None:
    """An alias is rolled back, where what it pointed at before is still served."""
    name = chance.choice(NAMES)
    target = model.before.get(name)
    can = name in model.pointed and target is not None and model.deployed.get(target[0]) == target[1:]
    try:
        with sessions.begin() as session:
            row, _, before = alias_changes.previous(session, name)
            version_id = alias_rollbacks._version(session, before).id
            change = alias_events.Change("rollback", who, "")
            alias_changes.roll_back(session, row, before.deployment, version_id, change)
    except MarinaError:
        assert not can
    else:
        assert can
        assert target
        moved(model, name, target, who)


def forget(sessions: Sessions, model: Model, chance: random.Random, who: str) -> None:
    """An alias is deleted."""
    name = chance.choice(NAMES)
    if model.pointed.pop(name, None):
        with sessions.begin() as session:
            alias_changes.delete(session, name, who, "")
        model.who.pop(name)
        model.before.pop(name, None)


def moved(model: Model, name: str, target: Target, who: str) -> None:
    """Nothing happens where it points already."""
    old = model.pointed.get(name)
    if old == target:
        return
    model.before.pop(name, None)
    if old:
        model.before[name] = old
    model.pointed[name], model.who[name] = target, who


def ask(sessions: Sessions, model: Model, chance: random.Random, who: str) -> None:
    """An alias or a deployment answers, and the answer is recorded as the API does it."""
    alias = chance.choice((*NAMES, None))
    selection = Selection(aliases=[alias]) if alias else Selection(deployments=[chance.choice(DEPLOYMENTS)])
    with sessions() as session:
        try:
            found = targets.find(session, selection).targets
        except NotFound:
            return
    for target in found:  # a stale alias is not asked
        version = str(target.desired.number)
        output = ModelOutput(version, {"probabilities": SURE})
        judged = results.judge(sessions, [Outcome(target, output, 1.0)])
        with sessions.begin() as session:
            session.execute(insert(Prediction), results.rows_of(uuid4(), SHA256, "api", judged))
        expected = (target.name, *model.deployed[target.name])
        if alias:
            expected = model.pointed[alias]
        model.answers.append(
            (
                judged[0].result.prediction_id,
                alias,
                expected,
                model.who[alias] if alias else None,
                dict(model.pointed),
            )
        )


def then(session: Session, name: str, moment: datetime) -> tuple[Target | None, str | None]:
    """Where a name led, and who had decided so."""
    try:
        found: Any = alias_events.at(session, name, moment)
    except NotFound:
        return None, None
    return (found.deployment, found.experiment, found.version), found.event.actor


def check(
    session: Session,
    uid: UUID,
    alias: str | None,
    target: Target,
    who: str | None,
    pointed: dict[str, Target],
) -> None:
    """The lineage of an answer says what the model knew when it was given."""
    found = lineage.show(session, uid, ENVIRONMENTS)
    deployment, experiment, number = target
    assert (found.deployment.name, found.version.experiment, found.version.version) == target
    assert found.version.present
    assert found.experiment
    assert found.experiment.name == experiment
    assert found.deployment.since is not None
    assert found.deployment.since <= found.created_at
    assert (found.alias.name if found.alias else None) == alias
    if found.alias:
        assert found.alias.event
        event = found.alias.event
        assert (event.deployment, event.experiment, event.version, event.actor) == (*target, who)
    there = {name for name, at in pointed.items() if at == target}
    assert {event.deployment for event in found.aliases_then} <= {deployment}
    assert len(found.aliases_then) == len(there)
    assert number in (1, 2)


def histories(sessions: Sessions, engine: Engine, seeds: range) -> None:
    for seed in seeds:
        live(sessions, seed)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "delete from predictions; delete from aliases; delete from deployments; "
                "delete from alias_events; delete from deployment_events"
            )


def test_of_random_histories_every_moment_and_every_answer_is_told_right(
    sessions: Sessions, engine: Engine, experiments: None
) -> None:
    histories(sessions, engine, range(25))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_of_five_hundred_histories(sessions: Sessions, engine: Engine, experiments: None) -> None:
    histories(sessions, engine, range(25, 525))
