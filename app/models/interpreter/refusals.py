"""The sentences in which the offline planner says no."""

from app.domain.errors import NotConfiguredError, NotUnderstoodError

SHOWN_CHARS = 200
SET_A_MODEL = "set a model: GATEWAY_MODEL__DEFAULT or configuration.model"


def shown(text: str, limit: int = SHOWN_CHARS) -> str:
    """At most `limit` characters of it."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def not_understood(clause: str, why: str = "") -> NotUnderstoodError:
    """The clause is beyond the offline planner; `why` is half a sentence."""
    because = f" ({why})" if why else ""
    return NotUnderstoodError(
        f'the offline planner does not understand "{shown(clause)}"{because}; say it in simpler steps, or '
        f"{SET_A_MODEL}",
        clause=shown(clause),
    )


def no_tool(clause: str, tool: str) -> NotConfiguredError:
    """The clause was understood, but the tool it takes is not offered to this task."""
    return NotConfiguredError(
        f'"{shown(clause)}" needs the tool {tool}, which this task does not have',
        clause=shown(clause),
        tool=tool,
    )


def no_desktop(clause: str, hint: str = "") -> NotConfiguredError:
    """The clause is about windows, a mouse or a keyboard."""
    return NotConfiguredError(
        f'"{shown(clause)}" needs a desktop or a browser (the tool act), which this task does not have{hint}',
        clause=shown(clause),
        tool="act",
        capability="desktop",
    )
