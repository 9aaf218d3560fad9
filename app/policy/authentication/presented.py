"""The API key or token that a call brings, and the one answer to all that open nothing."""

from collections.abc import Mapping
from typing import Final

from app.domain.credentials import digest_of
from app.domain.errors import UnauthenticatedError


def presented_token(metadata: Mapping[str, str]) -> str:
    """What stands in `authorization: Bearer ...` or `x-api-key`; empty when neither does.

    Raises UnauthenticatedError when both are there and are not the same: guessing which was meant would let
    a caller act as somebody it did not expect.
    """
    given = metadata.get("x-api-key", "")
    authorization = metadata.get("authorization")
    if authorization is None:
        return given
    scheme, _, bearer = authorization.partition(" ")
    bearer = bearer.strip()
    if not bearer or scheme.lower() != "bearer":
        return given
    if given and given != bearer:
        raise UnauthenticatedError("authorization and x-api-key name different credentials: send one of them")
    return bearer


token_digest: Final = digest_of
"""The SHA-256 by which a token is remembered: memory holds no token, and no look-up compares one."""


def refused() -> UnauthenticatedError:
    """The same words whether a credential is missing, unknown, wrong, expired or revoked."""
    return UnauthenticatedError(
        "a valid credential is required: authorization: Bearer KEY, or x-api-key: KEY"
    )
