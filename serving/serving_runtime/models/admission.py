"""Which requests may wait for a model: no more than it will have answered soon.

A queue that is longer than that helps nobody: the model works at its full rate already, and whoever waits at its end
would be told sooner, and could ask elsewhere, with an immediate 503. So under any overload the answers stay quick.

A long queue is good for a burst, and for many clients that ask, wait and ask again. It is of no use when more requests
are refused in a second, after which they may come back, than could wait: then it only makes every answer late. One call
of requests is enough then, for with so many at the door another is there before the model is free.
"""

_CALLS_AHEAD = 2  # a full batch must be ready whenever the model is free
_WEIGHT = 0.2  # of the newest call in the average
_LONGER = 4  # times the average: a call that took longer met a busy machine, and says no more than this


class Admission:
    """Learns how long a call takes and how many are refused, and says how many requests may wait."""

    def __init__(self, *, max_batch: int, queue_limit: int, queue_seconds: float) -> None:
        """At most `queue_limit` requests may wait, and no more than fit into the calls of `queue_seconds`, or into
        two calls if they take longer; a call has room for `max_batch` requests of one row.

        Requests of many rows count as one each: their clients are few, and know that they ask for much.
        """
        self._max_batch = max_batch
        self._queue_limit = queue_limit
        self._queue_seconds = queue_seconds
        self._refused = self._refused_at = 0.0
        self.call_seconds = 0.0  # moving average; 0 before the first call

    def called(self, seconds: float) -> None:
        """A call to the model took so long."""
        known = self.call_seconds or seconds
        self.call_seconds = known + _WEIGHT * (min(seconds, _LONGER * known) - known)

    def refused(self, now: float) -> None:
        """A request was turned away at the time `now`, in seconds."""
        self._refused = min(self._lately(now) + 1, self._longest)
        self._refused_at = now

    def room(self, now: float) -> float:
        """How many requests may wait."""
        longest = self._longest
        return longest if self._lately(now) <= longest / 2 else min(longest, self._max_batch)

    def _lately(self, now: float) -> float:
        """How many were refused, of whom as many are forgotten each second as may wait."""
        forgotten = (now - self._refused_at) * self._longest
        return max(0.0, self._refused - forgotten)

    @property
    def _longest(self) -> float:
        """How many requests may wait while few are refused."""
        if not self.call_seconds:
            return self._queue_limit
        calls = max(_CALLS_AHEAD, self._queue_seconds / self.call_seconds)
        return min(self._queue_limit, calls * self._max_batch)
