"""How the built-in tools write their parameters."""

from collections.abc import Sequence


def parameters(properties: dict[str, object], *, required: Sequence[str] = ()) -> dict[str, object]:
    """A closed JSON Schema object: what is not named is refused."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def text(description: str, *, max_length: int, min_length: int = 0) -> dict[str, object]:
    """A string of a bounded number of characters."""
    return {"type": "string", "description": description, "minLength": min_length, "maxLength": max_length}
