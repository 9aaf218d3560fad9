"""Which page a browser's request comes from: for credentials that browsers send by themselves.

A cookie, or a client certificate, goes along with whatever any page makes the browser send (cross-site
request forgery). The rule for methods that change something, after the OWASP CSRF Prevention Cheat Sheet
(Fetch Metadata, else Origin; and a custom header as the second line): the request must come from a page of
our own origin or of a listed one, and must carry what a plain HTML form cannot send without the browser
asking first: JSON as its content type, or `X-Requested-With` (Fetch standard, CORS-safelisted headers).
`SameSite` on the cookie is a third line, for browsers that know it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MARK: Final = "x-requested-with"


class Origins:
    """The origins whose pages may use ambient credentials.

    `listed` are those beside our own; `*` is never taken as one. `secure` says that browsers reach us
    by https only.
    """

    def __init__(self, listed: Iterable[str] = (), *, secure: bool) -> None:
        self._listed = frozenset(origin.lower() for origin in listed) - {"*"}
        self._schemes = ("https",) if secure else ("https", "http")

    def from_own_page(self, metadata: Mapping[str, str]) -> bool:
        """Whether a browser says that one of our pages sent this, and no form did."""
        return self._is_ours(metadata) and _is_no_form(metadata)

    def from_other_page(self, metadata: Mapping[str, str]) -> bool:
        """Whether a browser says that a page sent this which is none of ours. Programs say nothing."""
        told = "origin" in metadata or "sec-fetch-site" in metadata
        return told and not self._is_ours(metadata)

    def _is_ours(self, metadata: Mapping[str, str]) -> bool:
        origin = metadata.get("origin", "").lower()
        if origin in self._listed:
            return True
        site = metadata.get("sec-fetch-site")
        if site is not None:  # set by the browser itself, no page can (Fetch Metadata, section 2)
            return site == "same-origin"
        host = metadata.get("host", "").lower()
        return bool(host) and origin in {f"{scheme}://{host}" for scheme in self._schemes}


def _is_no_form(metadata: Mapping[str, str]) -> bool:
    media_type = metadata.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or bool(metadata.get(_MARK))
