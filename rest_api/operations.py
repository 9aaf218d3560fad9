"""Which route serves which RPC: the two native protocols are the same use cases under the same names."""

from typing import Final

from rest_api.docs_page import ASSETS as DOCS_ASSETS

PACKAGE: Final = "agentgateway.v1."

OPERATIONS: Final[dict[str, tuple[str, str]]] = {
    "TaskService/SubmitTask": ("POST", "/v1/tasks"),
    "TaskService/RunTask": ("POST", "/v1/tasks"),
    "TaskService/GetTask": ("GET", "/v1/tasks/{task_id}"),
    "TaskService/ListTasks": ("GET", "/v1/tasks"),
    "TaskService/WatchTask": ("GET", "/v1/tasks/{task_id}/events"),
    "TaskService/WatchTasks": ("GET", "/v1/events"),
    "TaskService/ListTaskEvents": ("GET", "/v1/tasks/{task_id}/events"),
    "TaskService/CancelTask": ("POST", "/v1/tasks/{task_id}:cancel"),
    "TaskService/PauseTask": ("POST", "/v1/tasks/{task_id}:pause"),
    "TaskService/ResumeTask": ("POST", "/v1/tasks/{task_id}:resume"),
    "TaskService/ProvideInput": ("POST", "/v1/tasks/{task_id}/inputs/{input_id}"),
    "TaskService/DeleteTask": ("DELETE", "/v1/tasks/{task_id}"),
    "SessionService/CreateSession": ("POST", "/v1/sessions"),
    "SessionService/GetSession": ("GET", "/v1/sessions/{session_id}"),
    "SessionService/ListSessions": ("GET", "/v1/sessions"),
    "SessionService/DeleteSession": ("DELETE", "/v1/sessions/{session_id}"),
    "SessionService/GetTranscript": ("GET", "/v1/sessions/{session_id}/transcript"),
    "SandboxService/ListSandboxKinds": ("GET", "/v1/sandboxes/kinds"),
    "SandboxService/CreateSandbox": ("POST", "/v1/sandboxes"),
    "SandboxService/GetSandbox": ("GET", "/v1/sandboxes/{sandbox_id}"),
    "SandboxService/ListSandboxes": ("GET", "/v1/sandboxes"),
    "SandboxService/ActInSandbox": ("POST", "/v1/sandboxes/{sandbox_id}:act"),
    "SandboxService/CaptureScreenshot": ("POST", "/v1/sandboxes/{sandbox_id}:screenshot"),
    "SandboxService/DeleteSandbox": ("DELETE", "/v1/sandboxes/{sandbox_id}"),
    "ArtifactService/GetArtifact": ("GET", "/v1/artifacts/{digest}"),
    "ArtifactService/ListArtifacts": ("GET", "/v1/tasks/{task_id}/artifacts"),
    "ArtifactService/ReadArtifact": ("GET", "/v1/artifacts/{digest}/content"),
    "ToolService/ListTools": ("GET", "/v1/tools"),
    "ToolService/GetTool": ("GET", "/v1/tools/{name}"),
    "ToolService/ExecuteTool": ("POST", "/v1/tools/{name}:execute"),
    "AgentDefinitionService/CreateAgent": ("POST", "/v1/agents"),
    "AgentDefinitionService/GetAgent": ("GET", "/v1/agents/{agent_id}"),
    "AgentDefinitionService/ListAgents": ("GET", "/v1/agents"),
    "AgentDefinitionService/UpdateAgent": ("PUT", "/v1/agents/{agent_id}"),
    "AgentDefinitionService/DeleteAgent": ("DELETE", "/v1/agents/{agent_id}"),
    "ConfigurationService/GetConfiguration": ("GET", "/v1/configuration"),
    "ConfigurationService/UpdateConfiguration": ("PUT", "/v1/configuration"),
    "KeyService/CreateKey": ("POST", "/v1/keys"),
    "KeyService/GetKey": ("GET", "/v1/keys/{key_id}"),
    "KeyService/ListKeys": ("GET", "/v1/keys"),
    "KeyService/RotateKey": ("POST", "/v1/keys/{key_id}:rotate"),
    "KeyService/RevokeKey": ("DELETE", "/v1/keys/{key_id}"),
    "AuditService/ListAuditEntries": ("GET", "/v1/audit"),
    "WebhookService/CreateWebhook": ("POST", "/v1/webhooks"),
    "WebhookService/GetWebhook": ("GET", "/v1/webhooks/{webhook_id}"),
    "WebhookService/ListWebhooks": ("GET", "/v1/webhooks"),
    "WebhookService/UpdateWebhook": ("PUT", "/v1/webhooks/{webhook_id}"),
    "WebhookService/DeleteWebhook": ("DELETE", "/v1/webhooks/{webhook_id}"),
    "WebhookService/RotateWebhookSecret": ("POST", "/v1/webhooks/{webhook_id}:rotate"),
    "WebhookService/ListWebhookDeliveries": ("GET", "/v1/webhooks/{webhook_id}/deliveries"),
    "WebhookService/RedeliverWebhook": (
        "POST",
        "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}:redeliver",
    ),
    "WebhookService/TestWebhook": ("POST", "/v1/webhooks/{webhook_id}:test"),
    "BudgetService/GetBudget": ("GET", "/v1/budget"),
    "ModelService/ListModels": ("GET", "/v1/models"),
    "ServerService/GetServerInfo": ("GET", "/v1/server"),
    "AccessService/GetCaller": ("GET", "/v1/caller"),
    "AccessService/CreateStreamTicket": ("POST", "/v1/stream-tickets"),
}
"""Every RPC of `agentgateway.v1`, and the route that serves it."""

REST_ONLY: Final[dict[str, tuple[str, str]]] = {
    "AccessService/CreateBrowserSession": ("POST", "/v1/browser-sessions"),
    "AccessService/DeleteBrowserSession": ("DELETE", "/v1/browser-sessions/current"),
}
"""Use cases that are HTTP by nature, as they set a cookie. Admission knows them like all others."""

STREAMED: Final = {
    "TaskService/SubmitTask": "TaskService/RunTask",
    "TaskService/ListTaskEvents": "TaskService/WatchTask",
}
"""Routes that serve two RPCs: the second one when the client accepts `text/event-stream`."""

PUBLIC: Final = frozenset(
    {"/healthz/live", "/healthz/ready", "/metrics", "/openapi.json", "/docs", *DOCS_ASSETS}
)
"""All that is served without admission; probes, scrapers and readers of the docs have no credentials."""


def operation_id_of(rpc: str) -> str:
    """`TaskService/GetTask` is `getTask` in the OpenAPI document."""
    name = rpc.rpartition("/")[2]
    return name[0].lower() + name[1:]
