"""AuditService: the audit log of the caller's tenant, in pages or as lines."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.domain.call import CallContext
from app.service.agent_service import AgentService
from rest_api.json_lines import JsonLines
from rest_api.negotiation import JSON, JSON_LINES, preferred
from rest_api.routing import Agents, Call, ExchangeOf, OperationRoute, answer
from rest_api.schemas.audit import AuditEntryOut, AuditQuery, ListAuditEntriesOut

router = APIRouter(route_class=OperationRoute, tags=["audit"])

LINES: dict[int | str, dict[str, Any]] = {200: {"content": {JSON_LINES: {}}}}


@router.get("/v1/audit", operation_id="listAuditEntries", response_model=ListAuditEntriesOut, responses=LINES)
async def list_audit_entries(
    query: Annotated[AuditQuery, Query()], call: Call, agents: Agents, exchange: ExchangeOf
) -> Response:
    """Who did what, newest first.

    With `Accept: application/x-ndjson`, all entries from `cursor` on, one a line: `page_size` is not asked.
    """
    if preferred(exchange.headers.get("accept"), JSON, JSON_LINES) == JSON_LINES:
        parts = _parts(agents, call, query)
        return JsonLines(parts, await anext(parts))
    page = await agents.audit.page(
        call, query.to_filter(), size=query.page_size, cursor=query.cursor, oldest_first=query.oldest_first
    )
    entries = [AuditEntryOut.from_domain(entry) for entry in page.items]
    return answer(ListAuditEntriesOut(entries=entries, next_cursor=page.next_cursor))


async def _parts(
    agents: AgentService, call: CallContext, query: AuditQuery
) -> AsyncGenerator[list[AuditEntryOut]]:
    found = agents.audit.export(call, query.to_filter(), cursor=query.cursor, oldest_first=query.oldest_first)
    async with aclosing(found) as parts:
        async for part in parts:
            yield [AuditEntryOut.from_domain(entry) for entry in part]
