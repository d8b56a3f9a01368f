"""Load shedding: which requests may wait for a model. No more than it will have answered soon.

A longer queue gains nothing: the model works at its full rate already, and whoever waits at its end is better off with
an immediate 503, and can ask elsewhere. So the answers stay quick under any overload.

A long queue is good for a burst, and for many clients that ask, wait and ask again. It is of no use when more requests
are rejected in a second, after which they may come back, than could wait: then it only makes every answer late. One
call of requests is enough then: at that arrival rate the next batch fills before the model is free.
"""

_CALLS_AHEAD = 2  # a full batch must be ready whenever the model is free
_WEIGHT = 0.2  # of the newest call in the average
_LONGER = 4  # times the average: a call that took longer met a busy machine, and says no more than this


class Admission:
    """Learns how long a call takes and how many are rejected, and says how many requests may wait."""

    def __init__(self, *, max_batch: int, queue_limit: int, queue_seconds: float) -> None:
        """At most `queue_limit` requests may wait, and no more than fit into the calls of `queue_seconds`, or into
        two calls if they take longer; a call has room for `max_batch` requests of one row.

        Requests of many rows count as one each: their clients are few, and know that they ask for much.
        """
        self.max_batch = max_batch
        """May be set at any time."""
        self._queue_limit = queue_limit
        self._queue_seconds = queue_seconds
        self._rejections = self._rejected_at = 0.0
        self.call_seconds = 0.0  # moving average; 0 before the first call

    def record_call(self, seconds: float) -> None:
        """A call to the model took so long."""
        known = self.call_seconds or seconds
        self.call_seconds = known + _WEIGHT * (min(seconds, _LONGER * known) - known)

    def record_rejection(self, now: float) -> None:
        """A request was turned away at the time `now`, in seconds."""
        self._rejections = min(self._recent_rejections(now) + 1, self._longest)
        self._rejected_at = now

    def capacity(self, now: float) -> float:
        """How many requests may wait."""
        longest = self._longest
        return longest if self._recent_rejections(now) <= longest / 2 else min(longest, self.max_batch)

    def _recent_rejections(self, now: float) -> float:
        """How many were rejected, of whom as many are forgotten each second as may wait."""
        forgotten = (now - self._rejected_at) * self._longest
        return max(0.0, self._rejections - forgotten)

    @property
    def _longest(self) -> float:
        """How many requests may wait while few are rejected."""
        if not self.call_seconds:
            return self._queue_limit
        calls = max(_CALLS_AHEAD, self._queue_seconds / self.call_seconds)
        return min(self._queue_limit, calls * self.max_batch)
