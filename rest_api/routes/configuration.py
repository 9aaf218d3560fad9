"""ConfigurationService: the tenant's configuration, merged under every task's own."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from rest_api.negotiation import already_known, etag, expected_version
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.configuration import ConfigurationOut, UpdateConfigurationIn

router = APIRouter(route_class=OperationRoute, tags=["configuration"])


@router.get(
    "/v1/configuration",
    operation_id="getConfiguration",
    response_model=ConfigurationOut,
    responses={304: {"description": "It is still the version of `If-None-Match`."}},
)
async def get_configuration(
    call: Call, agents: Agents, if_none_match: Annotated[str | None, Header(alias="If-None-Match")] = None
) -> Response:
    """The configuration; its key, when set, reads as `********`."""
    configuration = await agents.configuration.get(call)
    headers = {"ETag": etag(configuration.version)}
    if already_known(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return answer(ConfigurationOut.from_domain(configuration), headers=headers)


@router.put("/v1/configuration", operation_id="updateConfiguration", response_model=ConfigurationOut)
async def update_configuration(
    body: UpdateConfigurationIn,
    call: Call,
    agents: Agents,
    if_match: Annotated[str | None, Header(alias="If-Match")] = None,
) -> Response:
    """Replace the configuration. With `If-Match` it must still be that version (412 else).

    A key of `********` keeps the stored one.
    """
    configuration = await agents.configuration.update(
        call, body.values.to_domain(), expected_version=expected_version(if_match)
    )
    return answer(ConfigurationOut.from_domain(configuration), headers={"ETag": etag(configuration.version)})
