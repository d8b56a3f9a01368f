"""Which Host and which Origin a server answers to; pure, shared with the metadata API.

A page that rebinds its own name to this machine sends that name as Host: it is turned away before any other work. A
page of another site can make a browser send requests without reading the answers: those are recognised by
Sec-Fetch-Site or Origin. See docs/adr/0029-host-and-origin-allow-list.md.
The UI, which shares no code, has a copy in model_ui/hosts.py.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OWN_PAGES = frozenset((b"same-origin", b"none"))
# Ports that clients leave out of Host and Origin, by the scheme.
USUAL_PORTS = {"http": 80, "https": 443}
SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""For every answer of a server whose answers are data."""

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?)\.?(?::([0-9]{1,5}))?")
_SUFFIX = re.compile(r"\*(\.[a-z0-9_-]+)+")
_LONGEST = 300


class Rejection(NamedTuple):
    """Why a request is not answered."""

    status: int
    code: str
    detail: str


class AllowedHosts:
    """The hosts that a server answers to: loopback with its own port, and the entries of a setting.

    An entry is `HOST` (any port), `HOST:PORT`, `*.SUFFIX` (any name below it, any port), or a network such as
    `10.0.0.0/8` (IP-address literals in it, any port: no name can be rebound to one). Networks hold for Host only, not
    for Origin: a page may come from any address. `setting` is the variable that rejections tell people to change.
    """

    def __init__(self, entries: Iterable[str], setting: str) -> None:
        self._setting = setting
        self._names: set[tuple[str, int | None]] = set()
        self._suffixes: list[str] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            self._add(entry)
        plain = [name.encode() for name, port in self._names if port is None]
        self._plain = frozenset(plain)
        self._by_port: dict[int, frozenset[bytes]] = {}

    def rejection(self, scope: Mapping[str, Any]) -> Rejection | None:
        """Why this request (an ASGI scope of type http or websocket) is not answered; None if it is."""
        server = scope.get("server")
        port = (server[1] if server else None) or 80
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        found = dict(headers)
        host = found.get(b"host", b"")
        known = self._by_port.get(port) or self._prepare(port)
        if host not in known and not self._answers_to(host, port):
            return self._wrong_host(host)
        if len(found) != len(headers) and sum(name == b"host" for name, _ in headers) > 1:
            return self._wrong_host(b"several hosts")
        if scope.get("method") in SAFE_METHODS:
            return None
        site = found.get(b"sec-fetch-site")
        if site is not None:
            own = site in OWN_PAGES
        else:
            origin = found.get(b"origin")
            own = origin is None or self._is_own_origin(origin, port)
        return None if own else self._foreign()

    def _add(self, entry: str) -> None:
        if _SUFFIX.fullmatch(entry):
            self._suffixes.append(entry[1:])
        elif parsed := _parse(entry):
            self._names.add(parsed)
        else:
            try:
                self._networks.append(ip_network(entry))
            except ValueError:
                raise ValueError(
                    f"{entry!r} is not HOST, HOST:PORT, *.SUFFIX or a network such as 10.0.0.0/8"
                ) from None

    def _prepare(self, port: int) -> frozenset[bytes]:
        """The values of Host that are recognised by one look, for a port of ours."""
        ends = ["", f":{port}"] if port in USUAL_PORTS.values() else [f":{port}"]
        own = {f"{name}{end}".encode() for name in LOOPBACK for end in ends}
        known = self._by_port[port] = self._plain | own
        return known

    def _answers_to(self, host: bytes, port: int) -> bool:
        parsed = _parse(host.decode("latin-1").lower())
        if parsed is None:
            return False
        name, given = parsed
        ports = set(USUAL_PORTS.values()) if given is None else {given}
        return self._is_named(name, ports, port) or self._is_in_network(name)

    def _is_own_origin(self, origin: bytes, port: int) -> bool:
        scheme, _, host = origin.decode("latin-1").lower().partition("://")
        parsed = _parse(host)
        if parsed is None or scheme not in USUAL_PORTS:
            return False
        name, given = parsed
        return self._is_named(name, {given or USUAL_PORTS[scheme]}, port)

    def _is_named(self, name: str, ports: set[int], own_port: int) -> bool:
        return (
            (name in LOOPBACK and own_port in ports)
            or any((name, port) in self._names for port in (None, *ports))
            or any(name.endswith(suffix) for suffix in self._suffixes)
        )

    def _is_in_network(self, name: str) -> bool:
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:
            return False
        return any(address in network for network in self._networks)

    def _wrong_host(self, host: bytes) -> Rejection:
        shown = ascii(host[:100].decode("latin-1"))
        return Rejection(
            421,
            "host_not_allowed",
            f"This server does not answer to the host {shown}. Use an address that it knows, "
            f"such as localhost with its port, or add the host to {self._setting}.",
        )

    def _foreign(self) -> Rejection:
        return Rejection(
            403,
            "cross_site_request",
            "A page of another site may not send this. Send it from a page of this server or from a program, "
            f"or add the host of the page's address to {self._setting} if it is this server's own.",
        )


def entries(value: object) -> object:
    """The entries of a setting as it stands in the environment: separated by commas, or a JSON list.

    Raises ValueError for one that cannot be read.
    """
    if isinstance(value, str):
        value = json.loads(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise ValueError("give hosts separated by commas, or a JSON list of them")
    found = tuple(one.strip().lower() for one in value if one.strip())
    AllowedHosts(found, "")
    return found


def proxies(value: str) -> str:
    """Addresses and networks of a setting, separated by commas. Raises ValueError for one that is none."""
    found = [word.strip() for word in value.split(",") if word.strip()]
    for word in found:
        try:
            ip_network(word)
        except ValueError as error:
            raise ValueError(f"give addresses and networks of proxies, such as 10.0.0.0/8: {error}") from None
    return ",".join(found)


def _parse(text: str) -> tuple[str, int | None] | None:
    """Name and port of `HOST` or `HOST:PORT`, in lower case; None for anything else."""
    match = _HOST.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    return match[1], int(match[2]) if match[2] else None
