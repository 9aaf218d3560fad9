"""Which hosts are this very machine, and which URLs can be believed."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_trustworthy_url(url: str) -> bool:
    """Whether what comes from there can be believed: over https, or from this very machine.

    Secure Contexts (W3C), section 3.1, calls such origins potentially trustworthy.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))
