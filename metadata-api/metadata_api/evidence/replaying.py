"""The worker of replays: one at a time in each process, a few inputs at once; `create_app` runs it.

Its answers are recorded as any others, so that labels score them. A replay that is cancelled ends within a second.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select, update

from metadata_api.database.evidence_tables import Label
from metadata_api.database.prediction_tables import Prediction
from metadata_api.database.replay_tables import Replay
from metadata_api.database.session import Sessions
from metadata_api.errors import MarinaError
from metadata_api.evidence import replay_reports
from metadata_api.predicting.predictions import Dependencies, PredictionRequest, predict_all
from metadata_api.predicting.targets import Selection
from metadata_api.schemas.predictions import Result

# Inputs that are asked about at once: others shall be answered meanwhile.
AT_ONCE = 4
SEEN_SECONDS = 1.0
POLL_SECONDS = 2.0
log = logging.getLogger(__name__)


class Replayer:
    """Runs replays that wait, the oldest first; `changed` tells it of a new one."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._sessions: Sessions = dependencies.sessions
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self.changed.clear()
            try:
                found = await asyncio.to_thread(self._take)
                if found is not None:
                    await self._replay(*found)
                    continue
            except Exception as error:
                # The edge of the task: whatever went wrong, the next replay may do better.
                log.warning("no replay is run: %s", str(error).splitlines()[0] if str(error) else error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), POLL_SECONDS)

    def _take(self) -> tuple[int, list[str], list[str]] | None:
        """The oldest that waits, which no other process takes then."""
        with self._sessions.begin() as session:
            oldest = select(Replay.id).where(Replay.state == "waiting").order_by(Replay.id).limit(1)
            number = session.scalar(oldest.with_for_update(skip_locked=True))
            if number is None:
                return None
            values = {"state": "running", "seen_at": func.now()}
            statement = update(Replay).where(Replay.id == number).values(values)
            row = session.execute(statement.returning(Replay.deployments, Replay.inputs)).one()
            return number, row.deployments, row.inputs

    async def _replay(self, number: int, names: list[str], inputs: list[str]) -> None:
        answers: dict[str, list[Result]] = {}
        waiting = iter(inputs)
        asking = [
            asyncio.create_task(self._ask(waiting, names, answers)) for _ in range(min(AT_ONCE, len(inputs)))
        ]
        try:
            whole = asyncio.gather(*asking)
            while not whole.done():
                await asyncio.wait([whole], timeout=SEEN_SECONDS)
                if not await asyncio.to_thread(self._seen, number, len(answers)):
                    return
            await whole
            await asyncio.to_thread(self._finish, number, names, answers)
        except Exception as error:
            log.error("replay %s failed", number, exc_info=error)
            detail = (
                error.detail if isinstance(error, MarinaError) else "A fault of the API; its log says more."
            )
            await asyncio.to_thread(self._end, number, state="failed", reason=detail)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, waiting: Any, names: list[str], answers: dict[str, list[Result]]) -> None:
        for sha256 in waiting:
            request = PredictionRequest("", None, sha256, Selection(deployments=names), None)
            try:
                answers[sha256] = (await predict_all(self._dependencies, request)).results
            except MarinaError as error:
                # An input that nobody takes, or that was deleted meanwhile, is no answer; a name that is gone ends it.
                if error.code in ("deployment_unknown", "nothing_deployed", "out_of_space"):
                    raise
                answers[sha256] = []

    def _seen(self, number: int, done: int) -> bool:
        """Say how far it is; False when it was cancelled."""
        with self._sessions.begin() as session:
            mine = update(Replay).where(Replay.id == number, Replay.state == "running")
            found = session.scalars(mine.values(done=done, seen_at=func.now()).returning(Replay.id))
            return found.one_or_none() is not None

    def _finish(self, number: int, names: list[str], answers: dict[str, list[Result]]) -> None:
        uids = [result.prediction_id for results in answers.values() for result in results]
        with self._sessions() as session:
            query = select(Prediction.version_id).distinct()
            # One that answered nothing that fits it has not been replayed.
            mine = query.where(Prediction.uid.in_(uids), Prediction.status == "ok")
            version_ids = [one for one in session.scalars(mine) if one is not None]
            labels = select(Label.input_sha256, Label.task, Label.label, Label.number, Label.text).where(
                Label.input_sha256.in_(answers), Label.superseded_at.is_(None)
            )
            truths: dict[tuple[str, str], str | float] = {}
            for row in session.execute(labels):
                truths[row.input_sha256, row.task] = (
                    row.number if row.number is not None else row.label or row.text or ""
                )
        made = replay_reports.report(names, answers, truths)
        self._end(
            number,
            state="done",
            done=len(answers),
            report=made.model_dump(mode="json"),
            version_ids=version_ids,
        )

    def _end(self, number: int, **values: Any) -> None:
        with self._sessions.begin() as session:
            mine = update(Replay).where(Replay.id == number, Replay.state == "running")
            session.execute(mine.values(ended_at=func.now(), seen_at=func.now(), **values))
