"""What each use case asks of its caller: one table for all protocols and dialects.

A method that is not in it is let through to nobody, whatever its credentials: a new RPC or route is
shut until it stands here.
"""

from dataclasses import dataclass
from typing import Final, Literal

MethodClass = Literal["read", "write", "submit", "stream"]
"""What a call costs: classes have limits of their own. What is streamed holds a place while open."""


@dataclass(frozen=True, slots=True)
class UseCase:
    """The scope a caller needs, the class its calls are counted in, and whether it stays open as a stream.

    `takes_key` says whether it honours an idempotency key; what does not is harmless to repeat.
    """

    scope: str
    kind: MethodClass
    streamed: bool = False
    takes_key: bool = False


USE_CASES: Final[dict[str, UseCase]] = {
    "TaskService/SubmitTask": UseCase("tasks:write", "submit", takes_key=True),
    "TaskService/RunTask": UseCase("tasks:write", "submit", streamed=True, takes_key=True),
    "TaskService/GetTask": UseCase("tasks:read", "read"),
    "TaskService/ListTasks": UseCase("tasks:read", "read"),
    "TaskService/WatchTask": UseCase("tasks:read", "stream", streamed=True),
    "TaskService/WatchTasks": UseCase("tasks:read", "stream", streamed=True),
    "TaskService/ListTaskEvents": UseCase("tasks:read", "read"),
    "TaskService/CancelTask": UseCase("tasks:write", "write"),
    "TaskService/PauseTask": UseCase("tasks:write", "write"),
    "TaskService/ResumeTask": UseCase("tasks:write", "write"),
    "TaskService/ProvideInput": UseCase("tasks:write", "write"),
    "TaskService/DeleteTask": UseCase("tasks:write", "write"),
    "SessionService/CreateSession": UseCase("sessions:write", "write", takes_key=True),
    "SessionService/GetSession": UseCase("sessions:read", "read"),
    "SessionService/ListSessions": UseCase("sessions:read", "read"),
    "SessionService/DeleteSession": UseCase("sessions:write", "write"),
    "SessionService/GetTranscript": UseCase("sessions:read", "read"),
    "SandboxService/ListSandboxKinds": UseCase("sandboxes:read", "read"),
    "SandboxService/CreateSandbox": UseCase("sandboxes:write", "write", takes_key=True),
    "SandboxService/GetSandbox": UseCase("sandboxes:read", "read"),
    "SandboxService/ListSandboxes": UseCase("sandboxes:read", "read"),
    "SandboxService/ActInSandbox": UseCase("sandboxes:write", "write", takes_key=True),
    "SandboxService/CaptureScreenshot": UseCase("sandboxes:write", "write", takes_key=True),
    "SandboxService/DeleteSandbox": UseCase("sandboxes:write", "write"),
    "ArtifactService/GetArtifact": UseCase("artifacts:read", "read"),
    "ArtifactService/ListArtifacts": UseCase("artifacts:read", "read"),
    "ArtifactService/ReadArtifact": UseCase("artifacts:read", "read"),
    "ToolService/ListTools": UseCase("tools:read", "read"),
    "ToolService/GetTool": UseCase("tools:read", "read"),
    "ToolService/ExecuteTool": UseCase("tools:execute", "write", takes_key=True),
    "AgentDefinitionService/CreateAgent": UseCase("agents:write", "write", takes_key=True),
    "AgentDefinitionService/GetAgent": UseCase("agents:read", "read"),
    "AgentDefinitionService/ListAgents": UseCase("agents:read", "read"),
    "AgentDefinitionService/UpdateAgent": UseCase("agents:write", "write"),
    "AgentDefinitionService/DeleteAgent": UseCase("agents:write", "write"),
    "ConfigurationService/GetConfiguration": UseCase("configuration:read", "read"),
    "ConfigurationService/UpdateConfiguration": UseCase("configuration:write", "write"),
    "KeyService/CreateKey": UseCase("keys:write", "write", takes_key=True),
    "KeyService/GetKey": UseCase("keys:read", "read"),
    "KeyService/ListKeys": UseCase("keys:read", "read"),
    "KeyService/RotateKey": UseCase("keys:write", "write", takes_key=True),
    "KeyService/RevokeKey": UseCase("keys:write", "write"),
    "BudgetService/GetBudget": UseCase("budgets:read", "read"),
    "ModelService/ListModels": UseCase("models:read", "read"),
    "ServerService/GetServerInfo": UseCase("server:read", "read"),
    "AccessService/GetCaller": UseCase("access:read", "read"),
    "AccessService/CreateStreamTicket": UseCase("access:write", "write"),
    "AccessService/CreateBrowserSession": UseCase("access:write", "write"),
    "AccessService/DeleteBrowserSession": UseCase("access:write", "write"),
}

SCOPES: Final = frozenset(use_case.scope for use_case in USE_CASES.values())
"""Every scope that can be granted, beside `*` and `ROOM:*`."""

ROOMS: Final = frozenset(scope.partition(":")[0] for scope in SCOPES)


def is_scope(text: str) -> bool:
    """Whether that can be granted: a scope of a use case, `ROOM:*`, or `*`."""
    room, _, what = text.partition(":")
    return text == "*" or text in SCOPES or (what == "*" and room in ROOMS)
