"""What the loop needs of others, as it sees it; the bootstrap gives it the makes."""

from collections.abc import Sequence
from typing import Protocol

from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import Tool, ToolContext


class ModelObserver(Protocol):
    """Told of model calls, on the event loop; must neither block nor raise."""

    def model_called(
        self,
        provider: str,
        model: str,
        *,
        outcome: str,
        duration_s: float,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cost_usd: float | None = 0.0,
    ) -> None:
        """A call is over, its retries included: `ok`, `CANCELLED` or the error's reason.

        `cost_usd` is None when nobody knows the price.
        """
        ...


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
