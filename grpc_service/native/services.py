"""All services of the native API, and the handlers that serve them."""

from typing import Final

from app.service.agent_service import AgentService
from grpc_service.gen.agentgateway.v1 import (
    access_service_pb2,
    agent_pb2,
    artifact_pb2,
    audit_service_pb2,
    budget_service_pb2,
    configuration_pb2,
    key_service_pb2,
    sandbox_service_pb2,
    server_service_pb2,
    session_service_pb2,
    task_service_pb2,
    tool_service_pb2,
    webhook_service_pb2,
)
from grpc_service.methods import Handlers, handlers_of
from grpc_service.native.access import AccessServicer
from grpc_service.native.agents import AgentDefinitionServicer
from grpc_service.native.artifacts import ArtifactServicer
from grpc_service.native.audit import AuditServicer
from grpc_service.native.budgets import BudgetServicer
from grpc_service.native.configuration import ConfigurationServicer
from grpc_service.native.keys import KeyServicer
from grpc_service.native.sandboxes import SandboxServicer
from grpc_service.native.server import ModelServicer, ServerServicer
from grpc_service.native.sessions import SessionServicer
from grpc_service.native.tasks import TaskServicer
from grpc_service.native.tools import ToolServicer
from grpc_service.native.webhooks import WebhookServicer

_SERVICES: Final = {
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"]: TaskServicer,
    session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]: SessionServicer,
    sandbox_service_pb2.DESCRIPTOR.services_by_name["SandboxService"]: SandboxServicer,
    artifact_pb2.DESCRIPTOR.services_by_name["ArtifactService"]: ArtifactServicer,
    tool_service_pb2.DESCRIPTOR.services_by_name["ToolService"]: ToolServicer,
    agent_pb2.DESCRIPTOR.services_by_name["AgentDefinitionService"]: AgentDefinitionServicer,
    server_service_pb2.DESCRIPTOR.services_by_name["ModelService"]: ModelServicer,
    server_service_pb2.DESCRIPTOR.services_by_name["ServerService"]: ServerServicer,
    configuration_pb2.DESCRIPTOR.services_by_name["ConfigurationService"]: ConfigurationServicer,
    budget_service_pb2.DESCRIPTOR.services_by_name["BudgetService"]: BudgetServicer,
    access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]: AccessServicer,
    audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"]: AuditServicer,
    key_service_pb2.DESCRIPTOR.services_by_name["KeyService"]: KeyServicer,
    webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"]: WebhookServicer,
}
NATIVE_SERVICES: Final = tuple(sorted(service.full_name for service in _SERVICES))
"""Full names, for health, reflection and `GetServerInfo`."""


def native_handlers(agents: AgentService) -> Handlers:
    """Every method of `agentgateway.v1` over one `AgentService`."""
    return {
        name: handler
        for service, servicer in _SERVICES.items()
        for name, handler in handlers_of(service, servicer(agents)).items()
    }
