"""`WebhookService`."""

from app.domain.ids import DeliveryId, WebhookId
from app.service.agent_service import AgentService
from grpc_service.errors import RpcContext
from grpc_service.gen.agentgateway.v1 import webhook_service_pb2 as pb
from grpc_service.interceptors.calls import call_from
from grpc_service.native.mapping.values import id_from_proto
from grpc_service.native.mapping.webhooks import (
    delivery_to_proto,
    states_from_proto,
    webhook_from_proto,
    webhook_to_proto,
)
from grpc_service.native.pages import fitting


class WebhookServicer:
    """agentgateway.v1.WebhookService over AgentService."""

    def __init__(self, agents: AgentService) -> None:
        self._webhooks = agents.webhooks

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, context: RpcContext
    ) -> pb.CreateWebhookResponse:
        issued = await self._webhooks.create(call_from(context), webhook_from_proto(request))
        return pb.CreateWebhookResponse(
            webhook=webhook_to_proto(issued.webhook), secret=issued.secret.reveal()
        )

    async def GetWebhook(self, request: pb.GetWebhookRequest, context: RpcContext) -> pb.GetWebhookResponse:
        webhook = await self._webhooks.get(call_from(context), _webhook_id(request.webhook_id))
        return pb.GetWebhookResponse(webhook=webhook_to_proto(webhook))

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, context: RpcContext
    ) -> pb.ListWebhooksResponse:
        call = call_from(context)

        async def page(size: int) -> pb.ListWebhooksResponse:
            found = await self._webhooks.page(call, size=size, cursor=request.cursor)
            return pb.ListWebhooksResponse(
                webhooks=[webhook_to_proto(one) for one in found.items], next_cursor=found.next_cursor or ""
            )

        return await fitting(page, request.page_size)

    async def UpdateWebhook(
        self, request: pb.UpdateWebhookRequest, context: RpcContext
    ) -> pb.UpdateWebhookResponse:
        webhook = await self._webhooks.update(
            call_from(context), _webhook_id(request.webhook_id), webhook_from_proto(request)
        )
        return pb.UpdateWebhookResponse(webhook=webhook_to_proto(webhook))

    async def DeleteWebhook(
        self, request: pb.DeleteWebhookRequest, context: RpcContext
    ) -> pb.DeleteWebhookResponse:
        await self._webhooks.delete(call_from(context), _webhook_id(request.webhook_id))
        return pb.DeleteWebhookResponse()

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: RpcContext
    ) -> pb.RotateWebhookSecretResponse:
        issued = await self._webhooks.rotate_secret(
            call_from(context), _webhook_id(request.webhook_id), overlap_s=request.overlap_s
        )
        return pb.RotateWebhookSecretResponse(
            webhook=webhook_to_proto(issued.webhook), secret=issued.secret.reveal()
        )

    async def ListWebhookDeliveries(
        self, request: pb.ListWebhookDeliveriesRequest, context: RpcContext
    ) -> pb.ListWebhookDeliveriesResponse:
        call, webhook_id = call_from(context), _webhook_id(request.webhook_id)
        states = states_from_proto(request)

        async def page(size: int) -> pb.ListWebhookDeliveriesResponse:
            found = await self._webhooks.deliveries(
                call, webhook_id, states=states, size=size, cursor=request.cursor
            )
            return pb.ListWebhookDeliveriesResponse(
                deliveries=[delivery_to_proto(one) for one in found.items],
                next_cursor=found.next_cursor or "",
            )

        return await fitting(page, request.page_size)

    async def RedeliverWebhook(
        self, request: pb.RedeliverWebhookRequest, context: RpcContext
    ) -> pb.RedeliverWebhookResponse:
        delivery_id = DeliveryId(id_from_proto("delivery", "delivery_id", request.delivery_id))
        delivery = await self._webhooks.redeliver(
            call_from(context), _webhook_id(request.webhook_id), delivery_id
        )
        return pb.RedeliverWebhookResponse(delivery=delivery_to_proto(delivery))

    async def TestWebhook(
        self, request: pb.TestWebhookRequest, context: RpcContext
    ) -> pb.TestWebhookResponse:
        delivery = await self._webhooks.test(call_from(context), _webhook_id(request.webhook_id))
        return pb.TestWebhookResponse(delivery=delivery_to_proto(delivery))


def _webhook_id(value: str) -> WebhookId:
    return WebhookId(id_from_proto("webhook", "webhook_id", value))
