"""An experiment that grows while a model trains: created, fed with points, ended; for training code and notebooks."""

import atexit
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, SupportsFloat

from marina import points
from marina.api import Api, Json
from marina.connection import Connection, find
from marina.errors import Failure
from marina.names import checked_name
from marina.sender import Sender

State = Literal["finished", "failed", "stopped"]
EXIT_SECONDS = 30.0
STATE_SECONDS = 10.0


def experiment(
    name: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    display_name: str | None = None,
    description: str | None = None,
    directions: Mapping[str, Literal["min", "max"]] | None = None,
    key_metric: str | None = None,
    url: str | None = None,
    token_file: str | Path | None = None,
    strict: bool = False,
) -> "Run":
    """Begin an experiment, or go on with the one of this name; address and token are found as the command line does.

    Nothing is sent before this returns, and later nothing is raised: what could not be sent is counted and logged as a
    warning of the logger `marina`. With `strict`, `log` and `finish` raise Failure for what the API rejected. Raises
    WrongUse (a Failure) here and now for a name that is none, and when no Marina is known.
    """
    checked_name(name, f"{name!r} is no name of an experiment: write a-z, 0-9 and -, such as my-net-3")
    told = {
        "display_name": None if display_name is None else points.text(display_name),
        "description": None if description is None else points.text(description),
        # As `log` names them.
        "directions": {points.metric_name(key): value for key, value in (directions or {}).items()} or None,
        "key_metric": points.metric_name(key_metric) if key_metric else None,
        "parameters": points.scalars(parameters or {}) or None,
        "tags": points.scalars(tags or {}) or None,
    }
    new = {"state": "running", **{key: value for key, value in told.items() if value is not None}}
    return Run(name, find(url, Path(token_file) if token_file else None), new, strict=strict)


class Run:
    """A running experiment; `with` ends it as finished, as failed by an exception, or as stopped by Ctrl-C.

    A worker process, forked or spawned, logs to the same experiment, and never ends it.
    """

    def __init__(
        self, name: str, connection: Connection, new: Json | None, *, strict: bool = False, owner: bool = True
    ) -> None:
        self.name = name
        self.strict = strict
        self._connection = connection
        self._sender = Sender(partial(Api, connection), name, new)
        self._owner = owner
        self._pid = os.getpid()
        self._ended = False
        self._bad = 0
        self._sender.start()
        atexit.register(self._exit)

    @property
    def dropped(self) -> int:
        """How many points are lost so far: no numbers, rejected, or dropped while the API was away for long."""
        return self._sender.dropped + self._bad

    def log(
        self, step: int, values: Mapping[str, SupportsFloat] | None = None, /, **metrics: SupportsFloat
    ) -> None:
        """Log values of a step: anything that float() takes. Returns at once; sending is done in the background."""
        now, made = time.time(), []
        for metric, value in {**(values or {}), **metrics}.items():
            try:
                made.append(points.made(metric, step, value, now))
            except Exception as error:
                self._bad += 1
                self._sender.warn(f"{metric} is not logged: {error}")
                if self.strict:
                    raise
        if self._ended:
            self._bad += len(made)
            return self._sender.warn("it has ended: what is logged now is lost")
        self._sender.put(made)
        return self._raise()

    def change(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        notes: str | None = None,
        description: str | None = None,
    ) -> None:
        """Change what is said of the experiment, in the background; parameters and tags are merged."""
        merged = {"parameters": points.scalars(parameters or {}), "tags": points.scalars(tags or {})}
        changes: Json = {key: value for key, value in merged.items() if value}
        changes |= {
            key: points.text(said)
            for key, said in (("notes", notes), ("description", description))
            if said is not None
        }
        if changes:
            self._sender.change(changes)
        self._raise()

    def finish(self, state: State = "finished", seconds: float = EXIT_SECONDS) -> None:
        """Send what is held, for up to so many seconds, and end the experiment. A second call does nothing."""
        if self._ended:
            return
        self._ended = True
        atexit.unregister(self._exit)
        if self._sender.flush(seconds) and self._owner and os.getpid() == self._pid:
            # After the points: an experiment that has ended takes none.
            self._sender.change({"state": state})
            self._sender.flush(STATE_SECONDS)
        self._sender.close()
        if self.dropped:
            self._sender.warn(f"{self.dropped:,} points are lost in all")
        self._raise()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End it; what was raised goes on."""
        if kind is None or (isinstance(error, SystemExit) and not error.code):
            return self.finish()
        try:
            self.finish("stopped" if issubclass(kind, KeyboardInterrupt) else "failed")
        except Failure as failure:
            self._sender.warn(str(failure))
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process logs to it too; the token goes along."""
        return _joined, (self.name, self._connection, self._sender.new, self.strict)

    def _exit(self) -> None:
        """The interpreter ends, and nobody said how the training did."""
        failed = getattr(sys, "last_value", None) is not None
        try:
            self.finish("failed" if failed else "finished")
        except Failure as failure:
            self._sender.warn(str(failure))

    def _raise(self) -> None:
        if self.strict and self._sender.failure is not None:
            raise self._sender.failure


def _joined(name: str, connection: Connection, new: Json | None, strict: bool) -> Run:
    return Run(name, connection, new, strict=strict, owner=False)
