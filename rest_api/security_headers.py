"""What every answer tells browsers: guess no types, tell nobody where you came from, put us in no frame."""

from typing import Final

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


def security_headers(*, hsts_max_age_s: int = 0) -> tuple[tuple[bytes, bytes], ...]:
    """Headers for all answers, encoded once. HSTS (RFC 6797) is for listeners with TLS; 0 s sends none."""
    if not hsts_max_age_s:
        return _ALWAYS
    return (*_ALWAYS, (b"strict-transport-security", b"max-age=%d" % hsts_max_age_s))
