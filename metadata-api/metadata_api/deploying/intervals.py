"""How often deployments are looked at and for how long what was seen is believed; tests pass shorter times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Intervals:
    """All in seconds."""

    reconcile: float = 0.5
    """From one round to the next while nothing changes."""
    longest_pause: float = 2.0
    """The same while rounds fail; it doubles up to this."""
    watch_pause: float = 0.2
    """Before a watch that broke begins again; doubles with each failure."""
    longest_watch_pause: float = 3.0
    """What it doubles up to."""
    pods: float = 1.0
    """From one look at pods to the next, at least."""
    new_pods: float = 15.0
    """A new generation has no pods yet; only after this time may the pods that are there be taken for its own."""
    believed: float = 20.0
    """Models go on serving while the Kubernetes API restarts: for so long, what was seen last is believed."""
    retry: float = 5.0
    """Before an object that was rejected is written again."""
    echo: float = 2.0
    """An object that was just written is on its way to the watch for at most this time."""
    first_list: float = 5.0
    """How long the first round waits for the first list."""


DEFAULT = Intervals()
