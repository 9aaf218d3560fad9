"""What browsers bring instead of a header: the cookie of a session, and a ticket in the URL."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote_plus

TICKET: Final = "ticket"
"""The query parameter."""
PLAIN_NAME: Final = "agentgateway"
SECURE_NAME: Final = "__Host-agentgateway"
"""Browsers take a cookie of such a name only over https, for this host alone and all its paths (RFC 6265bis,
section 4.1.3.2): no other host of the domain can plant one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCookie:
    """How the cookie of a browser session is written and read."""

    secure: bool = True
    same_site: Literal["strict", "lax"] = "strict"

    @property
    def name(self) -> str:
        """By the name alone a reader knows whether it came over https."""
        return SECURE_NAME if self.secure else PLAIN_NAME

    def written(self, value: str, *, max_age_s: int) -> str:
        """The value of `Set-Cookie`; no script can read the cookie."""
        secure = "; Secure" if self.secure else ""
        same_site = self.same_site.capitalize()
        return f"{self.name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite={same_site}{secure}"

    def forgotten(self) -> str:
        """The value of `Set-Cookie` that removes it."""
        return self.written("", max_age_s=0)

    def read(self, header: str | None) -> str | None:
        """Our cookie's value out of the `cookie` header; the first, as browsers send the closest first."""
        if header is None:
            return None
        # Never at commas: another host of the domain may set a cookie whose value reads like a second one.
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.name:
                return value.strip()
        return None


def without_ticket(query: bytes) -> tuple[bytes, str | None]:
    """The query without its ticket, and the ticket: nobody after this can log it or trip over it.

    Several tickets are none that is good (an empty one).
    """
    if TICKET.encode() not in query and b"%" not in query:
        return query, None
    kept: list[bytes] = []
    found: list[str] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if unquote_plus(name.decode("latin-1")) == TICKET:
            found.append(unquote_plus(value.decode("latin-1")))
        else:
            kept.append(part)
    if not found:
        return query, None
    return b"&".join(kept), found[0] if len(found) == 1 else ""
