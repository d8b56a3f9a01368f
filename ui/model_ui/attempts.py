"""How often an address presented a wrong token lately; `login.Login` slows it down by this."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

WINDOW_SECONDS = 60.0
# Somebody who mistypes a token is not slowed.
FREE = 5
ADDRESSES = 4096


class WrongAttempts:
    """Counts wrong tokens by address over the last minute; the right one is never counted, so nobody is locked out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str) -> bool:
        """Count one more; True when the address has had its free ones."""
        now, key = self._clock(), _network(address)
        times = self._found.setdefault(key, deque(maxlen=FREE + 1))
        self._found.move_to_end(key)
        if len(self._found) > ADDRESSES:
            self._found.popitem(last=False)
        while times and now - times[0] >= WINDOW_SECONDS:
            times.popleft()
        times.append(now)
        return len(times) > FREE


def _network(address: str) -> str:
    """The address, or the /64 network of one of IPv6, in which one machine has as many as it likes."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address
