"""The tools of one task: which the model is offered, and how they are described to it."""

from collections.abc import Sequence

from pydantic_ai.tools import ToolDefinition

from app.agents.ports import Tools
from app.domain.tools import ToolInfo

ASK_USER = "ask_user"
"""The tool that is a question to the person; its answer comes from outside."""


class Toolset:
    """What one task may call."""

    def __init__(self, infos: Sequence[ToolInfo], definitions: list[ToolDefinition]) -> None:
        self.infos = infos
        self.definitions = definitions
        self._by_name = {info.name: info for info in infos}

    def find(self, name: str) -> ToolInfo | None:
        """The tool of that name, if the task may call it."""
        return self._by_name.get(name)

    @property
    def names(self) -> list[str]:
        """In the order they are offered."""
        return list(self._by_name)


class Offer:
    """Makes toolsets of the registry; descriptions are made once per tool."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._made: dict[str, tuple[ToolInfo, ToolDefinition]] = {}

    def toolset(self, names: Sequence[str] | None) -> Toolset:
        """The named tools that are available, or all of them for None.

        Raises NotFoundError for a name that no tool has.
        """
        if names is None:
            chosen = list(self._tools.list())
        else:
            chosen = [self._tools.get(name).info for name in dict.fromkeys(names)]
        offered = [info for info in chosen if info.available]
        return Toolset(offered, [self._definition(info) for info in offered])

    def _definition(self, info: ToolInfo) -> ToolDefinition:
        known = self._made.get(info.name)
        if known is not None and known[0] == info:
            return known[1]
        definition = ToolDefinition(
            name=info.name, description=info.description, parameters_json_schema=info.parameters
        )
        self._made[info.name] = (info, definition)
        return definition
