"""Scores: what the current labels say of the answers of versions.

One label scores every version that answered its input, whenever that was and however it was asked: the newest answer
of each version to each input counts. Called by the routes for scores; `paired` by what decides between two versions.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from metadata_api import versions
from metadata_api.database.evidence_tables import Label
from metadata_api.database.tables import Deployment, Experiment, ModelVersion
from metadata_api.errors import NotFound
from metadata_api.evidence import tallies, version_scores
from metadata_api.evidence.judged import newest_answers
from metadata_api.evidence.tallies import Tally
from metadata_api.schemas import scores as bodies


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions' answers to one labelled input.

    Of classes and texts an answer is right when it is what the label says. Of numbers the nearer one is right, and both
    are when they are equally near.
    """

    input_sha256: str
    chosen: str
    """How the input was chosen to be labelled: random, queue or other."""
    truth: str | float
    one_right: bool
    other_right: bool
    first_labelled_at: datetime
    """When somebody first said something about it, which may have been corrected since."""


@dataclass(frozen=True)
class _Version:
    row: ModelVersion
    experiment: str
    task: str


def of_experiment(session: Session, name: str, *, limit: int, before: int | None) -> bodies.Scores:
    """Scores of the `limit` newest versions of an experiment, or of those numbered below `before`; raises NotFound."""
    versions.require_experiment(session, name)
    query = _query().where(Experiment.name == name).order_by(ModelVersion.number.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(ModelVersion.number < before)
    found = _found(session, query)
    following = str(found[limit - 1].row.number) if len(found) > limit else None
    return _scores(session, found[:limit], following)


def of_deployments(session: Session, names: Sequence[str]) -> bodies.Scores:
    """Scores of the versions that deployments are to serve; raises NotFound for an unknown one."""
    named = select(Deployment.name, Deployment.version_id).where(Deployment.name.in_(names))
    served = {row.name: row.version_id for row in session.execute(named)}
    if missing := [name for name in names if name not in served]:
        raise NotFound(
            "deployment_unknown", f"There is no deployment {', '.join(missing[:10])}. See /v1/deployments."
        )
    ids = list(dict.fromkeys(served[name] for name in names))
    found = _found(session, _query().where(ModelVersion.id.in_(ids)))
    return _scores(session, sorted(found, key=lambda one: ids.index(one.row.id)), None)


def paired(session: Session, task: str, one_version_id: int, other_version_id: int) -> list[Pair]:
    """The labelled inputs that both versions answered, in the order in which they were labelled."""
    both = newest_answers(task, (one_version_id, other_version_id))
    one, other = both.alias("one"), both.alias("other")
    first = select(func.min(Label.created_at)).where(
        Label.input_sha256 == one.c.input_sha256, Label.task == task
    )
    query = (
        select(one.c.input_sha256, one.c.chosen, one.c.truth, one.c.truth_number)
        .add_columns(first.scalar_subquery().label("first_labelled_at"))
        .add_columns(one.c.is_right.label("one_right"), other.c.is_right.label("other_right"))
        .add_columns(one.c.answer_number.label("one_number"), other.c.answer_number.label("other_number"))
        .join(other, one.c.input_sha256 == other.c.input_sha256)
        .where(one.c.version_id == one_version_id, other.c.version_id == other_version_id)
        .order_by(one.c.labelled_at, one.c.label_id)
    )
    found = []
    for row in session.execute(query):
        truth, right = row.truth, (row.one_right, row.other_right)
        if row.truth_number is not None:
            truth = row.truth_number
            one_off, other_off = (abs(number - truth) for number in (row.one_number, row.other_number))
            right = (one_off <= other_off, other_off <= one_off)
        found.append(Pair(row.input_sha256, row.chosen, truth, *right, row.first_labelled_at))
    return found


def _query() -> Select[*tuple[Any, ...]]:
    return select(ModelVersion, Experiment.name).join(Experiment, ModelVersion.experiment_id == Experiment.id)


def _found(session: Session, query: Select[*tuple[Any, ...]]) -> list[_Version]:
    return [
        _Version(row, experiment, versions.interface_of(row).task)
        for row, experiment in session.execute(query)
    ]


def _scores(session: Session, found: Sequence[_Version], following: str | None) -> bodies.Scores:
    by_task: dict[str, list[int]] = defaultdict(list)
    for one in found:
        by_task[one.task].append(one.row.id)
    tallied = {task: tallies.read(session, task, ids) for task, ids in by_task.items()}
    labels = _count_labels(session, list(by_task))
    served = versions.served_by(session, [one.row.id for one in found])
    of = {one.row.id: tallied[one.task].get(one.row.id, Tally()) for one in found}
    items = [
        bodies.VersionScore(
            experiment=one.experiment,
            version=one.row.number,
            task=one.task,
            served_by=served.get(one.row.id, []),
            labels=labels.get(one.task, 0),
            **version_scores.scored(of[one.row.id], one.row.labels, one.row.metrics),
        )
        for one in found
    ]
    pairs = [
        bodies.PairScore(
            one=_name(one), other=_name(other), **version_scores.compared(of[one.row.id], of[other.row.id])
        )
        for one, other in combinations(found, 2)
        if one.task == other.task
    ]
    return bodies.Scores(items=items, pairs=pairs, next=following)


def _name(one: _Version) -> bodies.VersionName:
    return bodies.VersionName(experiment=one.experiment, version=one.row.number)


def _count_labels(session: Session, tasks: Sequence[str]) -> dict[str, int]:
    current = select(Label.task, func.count()).where(Label.task.in_(tasks), Label.superseded_at.is_(None))
    rows = session.execute(current.group_by(Label.task))
    return {row.task: row[1] for row in rows}
