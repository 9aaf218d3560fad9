"""`AgentService`: the one door. A frozen holder of use-case groups, so it never becomes a god class."""

from dataclasses import dataclass

from app.service.access import AccessUseCases
from app.service.agents import AgentUseCases
from app.service.artifacts import ArtifactUseCases
from app.service.audit import AuditUseCases
from app.service.budgets import BudgetUseCases
from app.service.configuration import ConfigurationUseCases
from app.service.keys import KeyUseCases
from app.service.sandboxes import SandboxUseCases
from app.service.server import ModelUseCases, ServerUseCases
from app.service.sessions import SessionUseCases
from app.service.streams import StreamUseCases
from app.service.tasks import TaskUseCases
from app.service.tools import ToolUseCases
from app.service.webhooks import WebhookUseCases


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentService:
    """Every use case of the gateway; both protocols and all dialects call nothing else."""

    tasks: TaskUseCases
    streams: StreamUseCases
    sessions: SessionUseCases
    sandboxes: SandboxUseCases
    artifacts: ArtifactUseCases
    tools: ToolUseCases
    agents: AgentUseCases
    models: ModelUseCases
    configuration: ConfigurationUseCases
    keys: KeyUseCases
    webhooks: WebhookUseCases
    budgets: BudgetUseCases
    audit: AuditUseCases
    server: ServerUseCases
    access: AccessUseCases
