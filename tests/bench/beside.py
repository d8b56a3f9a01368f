"""Work in a thread beside what is measured."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(work: Callable[[threading.Event], object], *, seconds: float) -> Iterator[None]:
    """Run `work` until the block ends: then its event is set, and it has so many seconds to return."""
    ends = threading.Event()
    thread = threading.Thread(target=work, args=(ends,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join(seconds)
