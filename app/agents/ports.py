"""What the loop needs of the tool room, as it sees it; the bootstrap gives it the make."""

from collections.abc import Sequence
from typing import Protocol

from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import Tool, ToolContext


class Tools(Protocol):
    """The registry of tools."""

    def list(self) -> Sequence[ToolInfo]:
        """What there is, available or not."""
        ...

    def get(self, name: str) -> Tool:
        """Raises NotFoundError."""
        ...

    async def execute(self, name: str, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """Call a tool. Raises InvalidRequestError when the arguments are not as its schema says."""
        ...
