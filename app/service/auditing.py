"""Every use case that changes something, with what it changes: the one place that knows what is audited.

The methods are wrapped where they are called by both front ends, on the groups of an `AgentService`; those
that only read are left as they are, and cost nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from app.domain.call import CallContext
from app.domain.errors import DomainError, InternalError
from app.policy.audit import Act, AuditTrail
from app.service.agent_service import AgentService

Method = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Audited:
    """A method of a group, and the kind of thing it acts on.

    `made` tells the id from the answer, of what did not exist before; without it the id is the first thing
    that the caller named, unless the method `acts_on_one` of its kind. `with_it`: the store commits the entry
    with the act, where it says so in the draft.
    """

    group: str
    method: str
    resource: str
    made: Callable[[Any], str] | None = None
    acts_on_one: bool = False
    with_it: bool = False


AUDITED: Final = (
    Audited("tasks", "accept", "task", made=lambda accepted: accepted.task.id, with_it=True),
    Audited("tasks", "cancel", "task", with_it=True),
    Audited("tasks", "pause", "task", with_it=True),
    Audited("tasks", "resume", "task", with_it=True),
    Audited("tasks", "provide_input", "task", with_it=True),
    Audited("tasks", "delete", "task"),
    Audited("sessions", "create", "session", made=lambda session: session.id),
    Audited("sessions", "delete", "session"),
    Audited("sandboxes", "create", "sandbox", made=lambda sandbox: sandbox.id),
    Audited("sandboxes", "act", "sandbox"),
    Audited("sandboxes", "screenshot", "sandbox"),
    Audited("sandboxes", "delete", "sandbox"),
    Audited("tools", "execute", "tool"),
    Audited("agents", "create", "agent"),
    Audited("agents", "update", "agent"),
    Audited("agents", "delete", "agent"),
    Audited("configuration", "update", "configuration", acts_on_one=True),
    Audited("keys", "create", "key", made=lambda issued: issued.key.id),
    Audited("keys", "rotate", "key"),
    Audited("keys", "revoke", "key"),
    Audited("webhooks", "create", "webhook", made=lambda issued: issued.webhook.id),
    Audited("webhooks", "update", "webhook"),
    Audited("webhooks", "delete", "webhook"),
    Audited("webhooks", "rotate_secret", "webhook"),
    Audited("webhooks", "redeliver", "webhook"),
    Audited("webhooks", "test", "webhook"),
    Audited("access", "create_ticket", "stream_ticket", acts_on_one=True),
    Audited("access", "open_session", "browser_session", made=lambda opened: opened.id),
    Audited("access", "end_session", "browser_session", acts_on_one=True),
)


def audit(service: AgentService, trail: AuditTrail) -> None:
    """Have every use case of the table leave an entry. Once for each service."""
    for name in dict.fromkeys(row.group for row in AUDITED):
        audit_group(name, getattr(service, name), trail)


def audit_group(name: str, group: object, trail: AuditTrail) -> None:
    """The same for one group by itself."""
    for row in AUDITED:
        if row.group == name:
            setattr(group, row.method, audited(getattr(group, row.method), row, trail))


def audited(method: Method, row: Audited, trail: AuditTrail) -> Method:
    """The method, leaving an entry of each call that came from outside."""

    async def watched(call: CallContext, *given: Any, **named: Any) -> Any:
        if not call.use_case:
            return await method(call, *given, **named)
        no_id = row.made is not None or row.acts_on_one or not given
        act = Act(resource=row.resource, resource_id="" if no_id else str(given[0]))
        if row.with_it:
            call = replace(call, audit=trail.draft(call, act))
        try:
            result = await method(call, *given, **named)
        except DomainError as error:
            trail.refused(call, act, error)
            raise
        except asyncio.CancelledError:
            trail.left(call, act)
            raise
        except Exception:
            trail.refused(call, act, InternalError())
            raise
        if call.audit is not None and call.audit.written:
            return result
        if row.made is not None:
            act = Act(resource=row.resource, resource_id=row.made(result))
        await trail.record(call, act)
        return result

    return watched
