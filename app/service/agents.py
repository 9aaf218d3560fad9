"""Use cases of agent definitions."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from app.domain.agents import AgentDefinition
from app.domain.call import CallContext
from app.domain.errors import (
    AlreadyExistsError,
    IllegalTransitionError,
    InvalidRequestError,
    StaleVersionError,
)
from app.domain.ids import AgentId
from app.domain.paging import Page, page_size
from app.service.idempotency import KeyedCalls, PlainAnswers, idempotent
from app.service.inputs import AgentInput, check_agent
from app.storage.base import AgentStore


class AgentUseCases:
    """A tenant's agent definitions over the built-in ones."""

    def __init__(
        self,
        store: AgentStore,
        *,
        built_in: Mapping[AgentId, AgentDefinition],
        runtimes: Collection[str],
        now: Callable[[], datetime],
        keyed: KeyedCalls,
    ) -> None:
        self.keyed = keyed
        self._store = store
        self._built_in = built_in
        self._runtimes = frozenset(runtimes)
        self._now = now

    async def get(self, call: CallContext, agent_id: AgentId) -> AgentDefinition:
        """Raises NotFoundError."""
        built_in = self._built_in.get(agent_id)
        if built_in is not None:
            return replace(built_in, tenant=call.tenant)
        return await self._store.get(call.tenant, agent_id)

    async def page(
        self, call: CallContext, *, size: int | None = None, cursor: str | None = None
    ) -> Page[AgentDefinition]:
        """The built-in agents first (on the first page, beyond its size), then the tenant's by id."""
        stored = await self._store.page(call.tenant, size=page_size(size), cursor=cursor or None)
        if cursor:
            return stored
        built_in = [replace(agent, tenant=call.tenant) for agent in self._built_in.values()]
        return Page(items=[*built_in, *stored.items], next_cursor=stored.next_cursor)

    @idempotent("AgentDefinitionService/CreateAgent", PlainAnswers(AgentDefinition))
    async def create(self, call: CallContext, agent_id: AgentId, agent: AgentInput) -> AgentDefinition:
        """Raises InvalidRequestError, AlreadyExistsError."""
        self._check(agent_id, agent)
        if agent_id in self._built_in:
            raise AlreadyExistsError(
                f"agent {agent_id!r} is built in", resource="agent", resource_id=agent_id
            )
        now = self._now()
        return await self._store.add(
            AgentDefinition(
                id=agent_id,
                tenant=call.tenant,
                description=agent.description,
                instructions=agent.instructions,
                runtime=agent.runtime,
                configuration=agent.configuration,
                created_at=now,
                updated_at=now,
            )
        )

    async def update(
        self, call: CallContext, agent_id: AgentId, agent: AgentInput, *, expected_version: int | None = None
    ) -> AgentDefinition:
        """Replace a definition. Raises InvalidRequestError, NotFoundError, StaleVersionError."""
        self._check(agent_id, agent)
        self._refuse_built_in(agent_id)
        current = await self._store.get(call.tenant, agent_id)
        if expected_version is not None and expected_version != current.version:
            raise StaleVersionError(
                f"agent {agent_id!r} was changed by somebody else", resource="agent", version=current.version
            )
        changed = replace(
            current,
            description=agent.description,
            instructions=agent.instructions,
            runtime=agent.runtime,
            configuration=agent.configuration,
            updated_at=self._now(),
        )
        return await self._store.replace(changed, expected_version=current.version)

    async def delete(
        self, call: CallContext, agent_id: AgentId, *, expected_version: int | None = None
    ) -> None:
        """Raises NotFoundError, StaleVersionError, IllegalTransitionError (built in)."""
        self._refuse_built_in(agent_id)
        await self._store.delete(call.tenant, agent_id, expected_version=expected_version)

    def _check(self, agent_id: AgentId, agent: AgentInput) -> None:
        check_agent(agent_id, agent)
        if agent.runtime not in self._runtimes:
            known = ", ".join(sorted(self._runtimes))
            raise InvalidRequestError.of("runtime", f"must be one of {known}", "UNKNOWN_RUNTIME")
        if agent.configuration.model_api_key is not None:
            description = "keys belong into the configuration or the task, not into an agent"
            raise InvalidRequestError.of("configuration.model_api_key", description, "NOT_ALLOWED")

    def _refuse_built_in(self, agent_id: AgentId) -> None:
        if agent_id in self._built_in:
            raise IllegalTransitionError(
                f"agent {agent_id!r} is built in and cannot be changed", agent_id=agent_id
            )
