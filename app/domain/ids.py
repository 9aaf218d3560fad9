"""Identifiers: opaque to callers, time-ordered, prefixed by what they name."""

from datetime import UTC, datetime
from typing import NewType

TaskId = NewType("TaskId", str)
SessionId = NewType("SessionId", str)
AgentId = NewType("AgentId", str)
SandboxId = NewType("SandboxId", str)
KeyId = NewType("KeyId", str)
WebhookId = NewType("WebhookId", str)
DeliveryId = NewType("DeliveryId", str)
Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits: the name of an artifact's bytes."""

MAX_ID_LENGTH = 128
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
ENTROPY_BYTES = 10


def make_id(prefix: str, at: datetime, entropy: bytes) -> str:
    """A ULID-like id: `prefix_` and 26 characters, ordered by `at` in milliseconds.

    `entropy` is `ENTROPY_BYTES` random bytes; this function itself reads no clock and no dice.
    """
    value = (int(at.astimezone(UTC).timestamp() * 1000) << 80) | int.from_bytes(
        entropy[:ENTROPY_BYTES], "big"
    )
    letters = [_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5)]
    return f"{prefix}_{''.join(letters)}"
