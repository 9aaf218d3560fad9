"""What request headers ask for: media type, waiting, versions. Pure functions."""

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Final

from app.domain.errors import InvalidRequestError
from rest_api.errors import HttpError

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
SHORTEST_TIMEOUT_S: Final = 0.001
_WAIT: Final = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(;.*)?", re.IGNORECASE)
_VERSION: Final = re.compile(r"[0-9]{1,18}")
ETAG_PATTERN: Final = r"^(\*|(W/)?\"[!#-~]*\")$"
"""What `If-Match` may be, for the OpenAPI document (RFC 9110, section 8.8.3, without lists)."""
_ETAG: Final = re.compile(r'(W/)?"([^"]*)"')


@lru_cache(maxsize=256)
def preferred(accept: str | None, *offered: str) -> str:
    """Which of the offered media types the client likes best; the first one when it does not care.

    Raises HttpError 406 when it wants none of them.
    """
    if not accept or accept == "*/*":
        return offered[0]
    ranges = [_media_range(part) for part in accept.split(",")]
    best, liking = offered[0], 0.0
    for media_type in offered:
        weight = _weight(media_type, ranges)
        if weight > liking:
            best, liking = media_type, weight
    if liking == 0:
        raise HttpError(406, "NOT_ACCEPTABLE", f"this is available as {' or '.join(offered)}")
    return best


def timeout_of(headers: Mapping[str, str]) -> float | None:
    """`Request-Timeout` in seconds, at least a millisecond. Raises InvalidRequestError."""
    value = headers.get("request-timeout")
    if value is None:
        return None
    if not _NUMBER.fullmatch(value.strip()):
        raise InvalidRequestError.of("Request-Timeout", "must be a number of seconds, such as 2.5")
    seconds = float(value)
    if seconds < SHORTEST_TIMEOUT_S:
        raise InvalidRequestError.of(
            "Request-Timeout", f"must be at least {SHORTEST_TIMEOUT_S} s", "OUT_OF_RANGE"
        )
    return seconds


def wait_of(prefer: str | None) -> timedelta | None:
    """`Prefer: wait=N` (RFC 7240), in seconds; other preferences are ignored, as it says."""
    for preference in (prefer or "").split(","):
        found = _WAIT.fullmatch(preference)
        if found:
            return timedelta(seconds=int(found[1]))
    return None


def etag(version: int) -> str:
    """A version as an entity tag."""
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """The version that `If-Match` names; None without the header and for `*`.

    Raises InvalidRequestError for what is no entity tag; one that we never made matches nothing (-1).
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise InvalidRequestError.of("If-Match", 'must be one entity tag, such as "3", or *', "INVALID_ETAG")
    weak, value = found.groups()
    return int(value) if not weak and _VERSION.fullmatch(value) else -1


def already_known(if_none_match: str | None, tag: str) -> bool:
    """Whether `If-None-Match` names the current entity tag (weak comparison)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(f'"{value}"' == tag for _, value in _ETAG.findall(if_none_match))


def is_json(content_type: str | None) -> bool:
    """Whether a body of this type is JSON."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json"))


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = part.split(";")
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                weight = min(max(float(value), 0.0), 1.0)
            except ValueError:
                weight = 0.0
    return name.strip().lower(), weight


def _weight(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The weight of the most specific range that covers the type."""
    family = media_type.partition("/")[0] + "/*"
    for covering in (media_type, family, "*/*"):
        weights = [weight for name, weight in ranges if name == covering]
        if weights:
            return max(weights)
    return 0.0
