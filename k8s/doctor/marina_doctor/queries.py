"""Asks the cluster everything at once, within one deadline, and notes what it may not see."""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from kubernetes import client

from marina_doctor.cluster import CALL_ERRORS

WORKERS = 12


class Queries:
    """Calls that run side by side; each gives what it found, `absent` for a 404, or None where it may not read."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.unreadable: dict[str, str] = {}
        """What could not be looked at, and why."""
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="query")

    def start(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        """Start a call."""
        return self._pool.submit(call, *arguments, **options)

    def result(self, what: str, asked: Future[Any], absent: Any = None) -> Any:
        """What was found: `absent` when the cluster says that there is none, None when it does not say."""
        try:
            return asked.result(timeout=max(0.0, self.end - time.monotonic()))
        except client.ApiException as error:
            if error.status == 404:
                return absent
            self.unreadable[what] = _reason(error)
        except (TimeoutError, CancelledError):
            self.unreadable[what] = "no answer in time"
        except CALL_ERRORS as error:
            self.unreadable[what] = str(getattr(error, "reason", None) or error) or type(error).__name__
        return None

    def close(self) -> None:
        """Begin nothing more; what is asked already ends by its own deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _reason(error: Any) -> str:
    return "this user may not read it" if error.status in (401, 403) else f"{error.status} {error.reason}"
