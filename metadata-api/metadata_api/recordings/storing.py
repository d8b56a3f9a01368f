"""A batch of events to the store and the database, in one transaction; called by the recorder, in a thread.

A request is recorded at once, and its answer added when it comes. To store the same again changes nothing, whatever
had happened before: the ids of predictions follow from those of the events.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from metadata_api.database.prediction_tables import Prediction
from metadata_api.database.session import Sessions
from metadata_api.predicting import results, stored_inputs, targets
from metadata_api.predicting.base import ParsedInput
from metadata_api.predicting.results import UNANSWERED, Outcome, Row, Versions
from metadata_api.predicting.targets import AnsweringVersion, Target
from metadata_api.recordings import pairing, reading
from metadata_api.recordings.events import Event
from metadata_api.recordings.pairing import Call, Key, Waiting, uid_of
from metadata_api.recordings.reading import Unreadable
from metadata_api.storage.base import ObjectStore

SOURCE = "v2"
STORED, REPEATED, UNREADABLE = "stored", "repeated", "unreadable"
PREDICTIONS = "predictions"
# A sender's clock may be wrong and its queue long; the log of an alias is read by the time of a prediction.
OLDEST = timedelta(hours=1)


@dataclass
class _Recorded:
    """A call, and the rows of its predictions; of an answer that comes late those that are in the database."""

    call: Call
    target: Target
    rows: list[Row]
    asked_at: datetime | None
    answered: bool = False

    @property
    def events(self) -> int:
        """How many events it consists of, without an answer that cannot be read."""
        return (self.call.request is not None) + self.answered


@dataclass
class _Plan:
    """What a batch becomes."""

    new: list[_Recorded] = field(default_factory=list)
    late: list[_Recorded] = field(default_factory=list)
    """Answers to what is in the database."""
    parsed: dict[str, ParsedInput] = field(default_factory=dict)
    """By sha256."""
    outcomes: Counter[str] = field(default_factory=Counter)


def store(
    sessions: Sessions, inputs: ObjectStore, events: Iterable[tuple[str, Event]], waiting: Waiting
) -> Counter[str]:
    """Record events, each with its deployment; what became of them, and how many `predictions` were made.

    Raises what the store and the database raise; then nothing has happened, and they can be given again.
    """
    calls, repeated = pairing.calls(events)
    given = {call.key for call in calls}
    calls += (call for call in waiting.calls() if call.key not in given)
    plan = _Plan(outcomes=Counter({REPEATED: repeated}))
    with sessions() as session:
        known = _known(session, calls)
        found = targets.of_names(session, {call.deployment for call in calls})
    early = _sort(plan, calls, known, found, waiting)
    _read_requests(plan, sessions)
    _read_answers(plan, sessions)
    stored_inputs.store_all(sessions, inputs, plan.parsed)
    with sessions.begin() as session:
        _write(session, plan)
    _keep_waiting(waiting, calls, early, plan.outcomes, given)
    return plan.outcomes


def _keep_waiting(
    waiting: Waiting,
    calls: Iterable[Call],
    early: Sequence[Call],
    outcomes: Counter[str],
    given: Collection[Key],
) -> None:
    """Let answers wait whose requests have not come, and no others; `given` are the calls of this batch."""
    still = {call.key for call in early}
    for call in calls:
        if call.key not in still:
            waiting.take(call.key)
    for call in early:
        if call.response is not None and call.key in given and not waiting.put(call.key, call.response):
            outcomes[REPEATED] += 1


def _known(session: Session, calls: Iterable[Call]) -> Mapping[Key, list[Row]]:
    """The predictions that there are of these calls."""
    columns = (Prediction.uid, Prediction.request_uid, Prediction.deployment, Prediction.status)
    query = select(*columns, Prediction.created_at, Prediction.input_sha256)
    mine = query.where(Prediction.request_uid.in_({call.id for call in calls}), Prediction.source == SOURCE)
    found: dict[Key, list[Row]] = {}
    for row in session.execute(mine):
        found.setdefault((row.deployment, row.request_uid), []).append(row._asdict())
    return found


def _sort(
    plan: _Plan,
    calls: Iterable[Call],
    known: Mapping[Key, list[Row]],
    found: Mapping[str, Target],
    waiting: Waiting,
) -> list[Call]:
    """Put each call where it belongs; returns answers whose requests have not come."""
    early = []
    for call in calls:
        there, target = known.get(call.key), found.get(call.deployment)
        call.response = call.response or waiting.peek(call.key)
        if there is not None:
            plan.outcomes[REPEATED] += call.request is not None
        elif call.request is None:
            early.append(call)
            continue
        if target is None:
            plan.outcomes[UNREADABLE] += (call.request is not None) + (call.response is not None)
        elif there is None:
            plan.new.append(_Recorded(call, target, [], call.request.at if call.request else None))
        elif call.response is not None and any(row["status"] == UNANSWERED for row in there):
            call.request = None
            plan.late.append(_Recorded(call, target, there, there[0]["created_at"]))
        else:
            plan.outcomes[REPEATED] += call.response is not None
    return early


def _read_requests(plan: _Plan, sessions: Sessions) -> None:
    """Make rows without answers of all new requests."""
    said = {(one.target.experiment_id, one.call.request.version) for one in plan.new if one.call.request}
    versions = results.answering_versions(sessions, (one.target for one in plan.new), said)
    readable = []
    for one in plan.new:
        try:
            one.rows = _rows(one, versions, plan.parsed)
            readable.append(one)
        except Unreadable:
            plan.outcomes[UNREADABLE] += 1 + (one.call.response is not None)
    plan.new = readable


def _rows(one: _Recorded, versions: Versions, parsed: dict[str, ParsedInput]) -> list[Row]:
    request, target = one.call.request, one.target
    assert request, "it is new"
    version: AnsweringVersion | None = target.desired
    if request.version:
        version = versions.get((target.experiment_id, request.version))
    if version is None:
        raise Unreadable(f"its version {request.version} is not registered")
    rows: list[Row] = []
    created_at = _when(request)
    for at, item in enumerate(reading.inputs_of(request, version.interface)):
        parsed[item.sha256] = item
        uid = uid_of(request.id, at)
        row = results.unanswered_row(uid, request.id, item.sha256, SOURCE, target, version)
        rows.append(row | {"created_at": created_at})
    return rows


def _read_answers(plan: _Plan, sessions: Sessions) -> None:
    """Put what models answered into the rows; what cannot be read is left out of them."""
    read: list[tuple[_Recorded, list[Outcome]]] = []
    for one in (*plan.new, *plan.late):
        if one.call.response is None:
            continue
        try:
            outputs = reading.outputs_of(one.call.response, len(one.rows))
        except Unreadable:
            plan.outcomes[UNREADABLE] += 1
            continue
        read.append((one, [Outcome(one.target, output, 0.0) for output in outputs]))
    judged = iter(results.judge(sessions, [outcome for _, outcomes in read for outcome in outcomes]))
    for one, outcomes in read:
        mine = [next(judged) for _ in outcomes]
        if any(found.result.error for found in mine):
            plan.outcomes[UNREADABLE] += 1
            continue
        one.answered = True
        by_uid = {row["uid"]: row for row in one.rows}
        for at, found in enumerate(mine):
            uid = uid_of(one.call.id, at)
            (answer,) = results.rows_of(one.call.id, "", SOURCE, [found])
            kept = {"uid": uid, "latency_ms": _latency(one), "input_sha256": by_uid[uid]["input_sha256"]}
            by_uid[uid].update(answer | kept)


def _write(session: Session, plan: _Plan) -> None:
    known = stored_inputs.put_all(session, plan.parsed)
    rows = [row for one in plan.new for row in one.rows if row["input_sha256"] in known]
    made = _insert(session, rows)
    for one in plan.new:
        mine = {row["uid"] for row in one.rows if row["input_sha256"] in known}
        # Bytes that are known as another kind cannot be kept twice.
        outcome = STORED if mine & made else REPEATED if mine else UNREADABLE
        plan.outcomes[outcome] += one.events
    for one in (one for one in plan.late if one.answered):
        changed = 0
        for row in one.rows:
            values = {name: value for name, value in row.items() if name not in ("uid", "created_at")}
            mine = (Prediction.uid == row["uid"]) & (Prediction.status == UNANSWERED)
            changed += len(
                session.scalars(update(Prediction).where(mine).values(values).returning(Prediction.id)).all()
            )
        plan.outcomes[STORED if changed else REPEATED] += 1
    plan.outcomes[PREDICTIONS] += len(made)


def _insert(session: Session, rows: Sequence[Row]) -> set[UUID]:
    """Those that were not there yet."""
    if not rows:
        return set()
    new = insert(Prediction).on_conflict_do_nothing().returning(Prediction.uid)
    return set(session.scalars(new, rows))


def _when(request: Event) -> datetime:
    """When a request was made, as far as its sender can be right."""
    now = datetime.now(UTC)
    return min(now, max(request.at, now - OLDEST)) if request.at else now


def _latency(one: _Recorded) -> float | None:
    """Milliseconds; None where a sender does not say its times, or they contradict each other."""
    answered_at = one.call.response.at if one.call.response else None
    if one.asked_at is None or answered_at is None or answered_at < one.asked_at:
        return None
    return round((answered_at - one.asked_at).total_seconds() * 1000, 3)
