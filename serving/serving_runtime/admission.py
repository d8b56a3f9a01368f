"""Which requests may wait for a model: no more than it will have answered soon.

A queue that is longer than that helps nobody: the model works at its full rate already, and whoever waits at its end
would be told sooner, and could ask elsewhere, with an immediate 503. So under any overload the answers stay quick.
"""

_CALLS_AHEAD = 2  # a full batch must be ready whenever the model is free
_WEIGHT = 0.2  # of the newest call in the average


class Admission:
    """Learns how long a call takes, and says whether one more request may wait."""

    def __init__(self, *, max_batch: int, queue_limit: int, queue_seconds: float) -> None:
        """At most `queue_limit` requests may wait, and no more than fit into the calls of `queue_seconds`, or into
        two calls if they take longer; a call has room for `max_batch` requests of one row.

        Requests of many rows count as one each: their clients are few, and know that they ask for much.
        """
        self._max_batch = max_batch
        self._queue_limit = queue_limit
        self._queue_seconds = queue_seconds
        self.call_seconds = 0.0  # moving average; 0 before the first call

    def called(self, seconds: float) -> None:
        """A call to the model took so long."""
        known = self.call_seconds or seconds
        self.call_seconds = known + _WEIGHT * (seconds - known)

    def admits(self, waiting: int) -> bool:
        """Whether one more may wait behind so many requests."""
        if waiting >= self._queue_limit:
            return False
        if not self.call_seconds:
            return True
        return waiting < max(_CALLS_AHEAD, self._queue_seconds / self.call_seconds) * self._max_batch
