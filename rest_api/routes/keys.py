"""KeyService: API keys of the caller's tenant. No answer here may be kept by a cache (see `answer`)."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.domain.ids import KeyId
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.base import PageQuery
from rest_api.schemas.keys import (
    ApiKeyOut,
    CreateKeyIn,
    CreateKeyOut,
    ListKeysOut,
    RotateKeyIn,
    RotateKeyOut,
)

router = APIRouter(route_class=OperationRoute, tags=["keys"])


@router.post("/v1/keys", operation_id="createKey", status_code=201, response_model=CreateKeyOut)
async def create_key(body: CreateKeyIn, call: Call, agents: Agents) -> Response:
    """Make a key. Its text is in this answer and nowhere else."""
    issued = await agents.keys.create(call, body.to_domain())
    return answer(CreateKeyOut.from_domain(issued), 201, {"Location": f"/v1/keys/{issued.key.id}"})


@router.get("/v1/keys", operation_id="listKeys")
async def list_keys(query: Annotated[PageQuery, Query()], call: Call, agents: Agents) -> ListKeysOut:
    """The keys, newest first, with those that were revoked or have expired."""
    page = await agents.keys.page(call, size=query.page_size, cursor=query.cursor)
    return ListKeysOut(keys=[ApiKeyOut.from_domain(key) for key in page.items], next_cursor=page.next_cursor)


@router.get("/v1/keys/{key_id:id}", operation_id="getKey")
async def get_key(key_id: str, call: Call, agents: Agents) -> ApiKeyOut:
    """One key."""
    return ApiKeyOut.from_domain(await agents.keys.get(call, KeyId(key_id)))


@router.post("/v1/keys/{key_id:id}:rotate", operation_id="rotateKey")
async def rotate_key(key_id: str, body: RotateKeyIn, call: Call, agents: Agents) -> RotateKeyOut:
    """Give it a new text, told in this answer only; id, prefix, scopes and expiry stay."""
    return RotateKeyOut.from_domain(await agents.keys.rotate(call, KeyId(key_id), overlap_s=body.overlap_s))


@router.delete("/v1/keys/{key_id:id}", operation_id="revokeKey", status_code=204)
async def revoke_key(key_id: str, call: Call, agents: Agents) -> None:
    """End the key: at once here, within `auth.key_cache` on other replicas. It stays in the listing."""
    await agents.keys.revoke(call, KeyId(key_id))
