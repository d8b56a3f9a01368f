"""The queue: which inputs of a task to label next; called by the route for it, and by `promotions`.

Of the newest inputs that versions which are served now have answered, or were sent by recorded traffic, those without a
label, and that the caller has not skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import CTE, ColumnElement, case, exists, func, select
from sqlalchemy.orm import Session

from metadata_api import versions
from metadata_api.database.evidence_tables import Label, LabelSkip
from metadata_api.database.prediction_tables import Input, Prediction
from metadata_api.database.tables import Alias, Deployment, ModelVersion
from metadata_api.errors import Conflict, Invalid, NotFound
from metadata_api.evidence import answered, order, tasks
from metadata_api.evidence.order import Candidate
from metadata_api.predicting import stored_inputs
from metadata_api.schemas import queue as bodies
from metadata_api.schemas.policies import Undecided

# Most inputs that are put in order, the newest.
LOOKED_AT = 5000
# Inputs that are named as those that decide a promotion, and characters of what was said of each.
DECIDING = 12
SAID_CHARACTERS = 200


@dataclass(frozen=True)
class Asked:
    """For which task, or for the alias of which: its version is the champion, the challengers are its candidates."""

    task: str | None
    alias: str | None
    challengers: Sequence[str] = ()


@dataclass(frozen=True)
class _Sides:
    task: str
    served: list[int]
    champion: int | None
    candidates: list[int]


def read(session: Session, asked: Asked, author: str, limit: int) -> bodies.LabelQueue:
    """The next `limit` inputs for this person, and how far the task is.

    Raises Invalid without task and alias, NotFound for an unknown task, alias or challenger, Conflict for a challenger
    that has another task.
    """
    sides = _sides(session, asked)
    task = tasks.find(session, sides.task)
    open_inputs = _open(session, sides, author)
    current = (Label.task == sides.task, Label.superseded_at.is_(None))
    by_chosen = select(Label.chosen, func.count()).where(*current).group_by(Label.chosen)
    labelled = {row.chosen: row[1] for row in session.execute(by_chosen)}
    of_queue = labelled.get("queue", 0) + labelled.get("random", 0)
    places = list(islice(order.ordered(sides.task, open_inputs, of_queue), limit))
    inputs = stored_inputs.named(session, (place.input.sha256 for place in places))
    return bodies.LabelQueue(
        task=sides.task,
        takes=bodies.Takes(fields=list(task.fields), labels=list(task.labels), unit=task.unit or None),
        items=[
            bodies.QueueItem(
                input=inputs[place.input.sha256],
                chosen=place.chosen,
                reason=place.reason,
                detail=bodies.DETAILS[place.reason],
            )
            for place in places
            if place.input.sha256 in inputs
        ],
        labelled=sum(labelled.values()),
        open=len(open_inputs),
        decisive=sum(map(order.is_decisive, open_inputs)),
        random_share=order.RANDOM_SHARE,
    )


def deciding(session: Session, task: str, candidate: int, champion: int) -> list[Undecided]:
    """The first inputs of the queue on which these two versions differ, whoever asks for them."""
    sides = _Sides(task, sorted({candidate, champion}), champion, [candidate])
    differing = _open(session, sides, only_differing=True)
    digests = [place.input.sha256 for place in islice(order.ordered(task, differing), DECIDING)]
    newest = answered.newest(sides.served).where(Prediction.input_sha256.in_(digests))
    said = {(row.input_sha256, row.version_id): row.said for row in session.execute(newest)}
    inputs = stored_inputs.named(session, digests)
    return [
        Undecided(
            input_sha256=digest,
            input=inputs[digest],
            champion=said[digest, champion][:SAID_CHARACTERS],
            candidate=said[digest, candidate][:SAID_CHARACTERS],
        )
        for digest in digests
        # What was deleted since it was found decides nothing.
        if digest in inputs and {(digest, champion), (digest, candidate)} <= said.keys()
    ]


def _sides(session: Session, asked: Asked) -> _Sides:
    """Who is served for the task, and who stands against whom."""
    running = {row.name: row for row in _deployments(session)}
    tasks_of: dict[int, str] = {}
    for row in session.scalars(
        select(ModelVersion).where(ModelVersion.id.in_({one.version_id for one in running.values()}))
    ):
        tasks_of[row.id] = versions.interface_of(row).task
    task, champion = asked.task, None
    if asked.alias is not None:
        champion, said = _champion(session, asked.alias)
        task = task or said
    if task is None:
        raise Invalid("task_missing", "Name a task or an alias.")
    candidates = []
    for name in asked.challengers:
        if name not in running:
            raise NotFound("deployment_unknown", f"No deployment {name} is running. See /v1/deployments.")
        if tasks_of[running[name].version_id] != task:
            raise Conflict("other_task", f"Deployment {name} has another task than {task}. Name another.")
        candidates.append(running[name].version_id)
    served = [one for one in tasks_of if tasks_of[one] == task]
    if champion is not None and not candidates:
        candidates = [one for one in served if one != champion]
    known = {*served, *candidates, *([] if champion is None else [champion])}
    return _Sides(task, sorted(known), champion, candidates)


def _champion(session: Session, alias: str) -> tuple[int, str]:
    row = session.scalar(
        select(ModelVersion).join(Alias, Alias.version_id == ModelVersion.id).where(Alias.name == alias)
    )
    if row is None:
        raise NotFound("alias_unknown", f"There is no alias {alias}. See /v1/aliases.")
    return row.id, versions.interface_of(row).task


def _deployments(session: Session) -> Sequence[Any]:
    columns = select(Deployment.name, Deployment.version_id)
    return session.execute(columns.where(Deployment.desired == "running")).all()


def _open(
    session: Session, sides: _Sides, author: str | None = None, *, only_differing: bool = False
) -> list[Candidate]:
    """The inputs that may be labelled next, with what is known of the answers to them; `author` has skipped none.

    `only_differing` leaves those out on which no candidate differs from the champion.
    """
    answers = _answers(sides, author)
    of_champion = case((answers.c.version_id == sides.champion, answers.c.said))
    champion = func.max(of_champion).over(partition_by=answers.c.input_sha256)
    # Unknown, and so not true, where there is no champion or it did not answer.
    differs = answers.c.version_id.in_(sides.candidates) & (answers.c.said != champion)
    beside = select(answers, differs.label("differs")).subquery()
    grouped = select(
        beside.c.input_sha256,
        func.coalesce(func.bool_or(beside.c.differs), False).label("differs"),
        func.count(beside.c.said.distinct()).label("answers"),
        (func.max(beside.c.number) - func.min(beside.c.number)).label("spread"),
        func.min(beside.c.margin).label("margin"),
    ).group_by(beside.c.input_sha256)
    if only_differing:
        grouped = grouped.having(func.bool_or(beside.c.differs))
    found = [
        Candidate(row.input_sha256, row.differs, row.answers, row.spread or 0.0, row.margin)
        for row in session.execute(grouped)
    ]
    return found if only_differing else [*found, *_unanswered(session, sides, author)]


def _unanswered(session: Session, sides: _Sides, author: str | None) -> list[Candidate]:
    """Open inputs of recorded traffic about which no served version has said anything that was kept."""
    recorded = (
        select(Prediction.input_sha256)
        .where(Prediction.status == "unanswered", Prediction.version_id.in_(sides.served))
        .order_by(Prediction.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    is_answered = exists().where(Prediction.input_sha256 == Input.sha256, answered.is_ok(sides.served))
    mine = Input.sha256.in_(select(recorded.c.input_sha256))
    found = session.scalars(select(Input.sha256).where(mine, _is_open(sides.task, author), ~is_answered))
    return [Candidate(sha256, answers=0) for sha256 in found]


def _is_open(task: str, author: str | None) -> ColumnElement[bool]:
    """Whether an input has no label, and this person has not skipped it."""
    labelled = exists().where(
        Label.input_sha256 == Input.sha256, Label.task == task, Label.superseded_at.is_(None)
    )
    skipped = exists().where(
        LabelSkip.input_sha256 == Input.sha256, LabelSkip.task == task, LabelSkip.author == author
    )
    return ~labelled & ~skipped


def _answers(sides: _Sides, author: str | None) -> CTE:
    """The newest answer of each version to each open input: said, number, margin."""
    is_answered = exists().where(Prediction.input_sha256 == Input.sha256, answered.is_ok(sides.served))
    newest = (
        select(Input.sha256)
        .where(_is_open(sides.task, author), is_answered)
        .order_by(Input.created_at.desc(), Input.sha256.desc())
        .limit(LOOKED_AT)
        .cte("newest")
    )
    number = Prediction.answer["number"].as_float().label("number")
    first, second = (Prediction.probabilities[at]["probability"].as_float() for at in (0, 1))
    margin = (first - func.coalesce(second, 0.0)).label("margin")
    answers = answered.newest(sides.served, number, margin)
    return answers.join(newest, newest.c.sha256 == Prediction.input_sha256).cte("answers")
