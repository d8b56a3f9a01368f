"""Which addresses on the web we ask for what we will believe."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_allowed(url: str, *, http: bool) -> bool:
    """Whether an address is https, or http on loopback or where `http` allows it; without user, query and fragment."""
    if not url.isascii() or not url.isprintable() or "?" in url or "#" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (http or _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
