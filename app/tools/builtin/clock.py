"""The time, and waiting for it to pass."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.domain.errors import InvalidRequestError
from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import ToolContext
from app.tools.builtin.schemas import parameters, text

MAX_WAIT_S = 60

TIME_INFO = ToolInfo(
    name="current_time",
    title="Current time",
    description="Return the current date and time (ISO 8601, with the weekday), in UTC or a given time zone.",
    parameters=parameters(
        {"timezone": text("IANA time zone: `Europe/Berlin`. UTC if left out.", min_length=1, max_length=64)}
    ),
    category="time",
    tags=("offline",),
    timeout_s=5.0,
)
WAIT_INFO = ToolInfo(
    name="wait",
    title="Wait",
    description=f"Do nothing for a number of seconds, at most {MAX_WAIT_S}.",
    parameters=parameters(
        {
            "seconds": {
                "type": "number",
                "minimum": 0,
                "maximum": MAX_WAIT_S,
                "description": "How long to wait.",
            }
        },
        required=("seconds",),
    ),
    category="time",
    tags=("offline",),
    timeout_s=MAX_WAIT_S + 5.0,
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CurrentTime:
    """`current_time{timezone?}`."""

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now

    @property
    def info(self) -> ToolInfo:
        return TIME_INFO

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Raises InvalidRequestError for a zone that is not known."""
        del context
        name = str(arguments.get("timezone", "UTC"))
        # Zone data are files.
        zone = UTC if name.upper() == "UTC" else await asyncio.to_thread(_zone, name)
        moment = self._now().astimezone(zone)
        written = moment.isoformat(timespec="seconds")
        return ToolResult(
            output=f"{written} ({moment:%A}, {name})",
            data={"time": written, "weekday": f"{moment:%A}", "timezone": name},
        )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequestError.of("arguments.timezone", "is not a time zone known here") from None


class Wait:
    """`wait{seconds}`."""

    @property
    def info(self) -> ToolInfo:
        return WAIT_INFO

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Sleep. Cancelling wakes it at once."""
        del context
        seconds = cast("float", arguments["seconds"])
        await asyncio.sleep(seconds)
        return ToolResult(output=f"waited {seconds:g} s", data={"seconds": seconds})
