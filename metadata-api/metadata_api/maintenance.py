"""The background task that keeps the store and the tables in order: checks of the store, collection of its bytes.

`create_app` runs it for as long as the API lives. Every replica has one, and only the leader's does anything. A round
is short: what is left over follows in the next one.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from metadata_api import retention
from metadata_api.database.session import Sessions, deadline
from metadata_api.deploying import restores
from metadata_api.errors import Unavailable
from metadata_api.objects import collector, fsck, ledger
from metadata_api.objects.copies import Copies
from metadata_api.objects.repair import RepairedStore
from metadata_api.settings.stores import Retention

# Statements over whole tables take longer than those of requests.
STATEMENT_SECONDS = 60.0
POLL_SECONDS = 1.0
SETTLE_ROUNDS = 24
# Until what keeps it from collecting may be over.
WAIT_SECONDS = 10.0
log = logging.getLogger(__name__)


class Maintenance:
    """What it works on.

    Args:
        leads: whether this replica is the one that works.
        in_use: sha256 of objects that somebody uses without a row: what Helm deploys from the bucket.
            None while that is not known.
        copies_place: where the copy of the store is.
    """

    def __init__(
        self,
        sessions: Sessions,
        stores: Mapping[str, RepairedStore],
        keep: Retention,
        *,
        leads: Callable[[], bool],
        in_use: Callable[[], frozenset[str] | None],
        copies_place: str = "",
    ) -> None:
        self._sessions = sessions
        self._stores = stores
        self._keep = keep
        self._leads = leads
        self._in_use = in_use
        self._copies = Copies(sessions, stores, copies_place)
        self.problems: dict[str, int] = {}
        """How many objects that rows need are missing or damaged, as the leader counted last; empty for others."""
        self._next_round = 0.0
        self._rounds = 0

    async def run(self) -> None:
        """Work until cancelled."""
        last = ""
        while True:
            more = False
            try:
                if self._leads():
                    more = await asyncio.to_thread(self._work)
                else:
                    self.problems = {}
                last = ""
            except Exception as error:
                # The edge of the task: whatever went wrong, the next round may do better.
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                if reason != last:
                    expected = isinstance(error, SQLAlchemyError | OSError | Unavailable)
                    log.warning("maintenance failed: %s", reason, exc_info=not expected)
                last = reason
            if not more:
                await asyncio.sleep(POLL_SECONDS)

    def _work(self) -> bool:
        """One piece of work; whether there is more at once."""
        with deadline(STATEMENT_SECONDS):
            more = fsck.step(self._sessions, self._stores)
            with self._sessions() as session:
                self.problems = {"missing": 0, "damaged": 0} | ledger.problems(session)
            if time.monotonic() >= self._next_round:
                # Also when it fails: its statements read whole tables.
                self._next_round = time.monotonic() + WAIT_SECONDS
                more = self._clean() or more
            # Last, because a copy that is away must not keep this store from being cleaned.
            return self._copies.step() or more

    def _clean(self) -> bool:
        """Delete what is over; whether there is more at once."""
        in_use = self._in_use()
        with self._sessions() as session:
            # Bytes that only rows of after the dump needed are the last trace of what was lost.
            if in_use is None or restores.changed_since(session) is not None:
                self._next_round = time.monotonic() + min(WAIT_SECONDS, self._keep.interval_seconds)
                return False
        if self._rounds % SETTLE_ROUNDS == 0:
            with self._sessions.begin() as session:
                ledger.settle(session)
        grace = timedelta(seconds=self._keep.grace_seconds)
        # Both in each round: where predictions come without end, there is always one too many.
        deleted = retention.apply(self._sessions, self._keep)
        deleted += collector.collect(self._sessions, self._stores, grace, in_use=in_use)
        if deleted:
            self._next_round = 0.0
            return True
        self._rounds += 1
        self._next_round = time.monotonic() + self._keep.interval_seconds
        return False
