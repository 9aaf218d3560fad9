"""WebhookService: endpoints that are told of tasks."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.domain.ids import DeliveryId, WebhookId
from rest_api.routing import Agents, Call, OperationRoute, answer
from rest_api.schemas.base import PageQuery
from rest_api.schemas.webhooks import (
    CreateWebhookIn,
    CreateWebhookOut,
    DeliveriesQuery,
    ListWebhookDeliveriesOut,
    ListWebhooksOut,
    RotateWebhookSecretIn,
    RotateWebhookSecretOut,
    UpdateWebhookIn,
    WebhookDeliveryOut,
    WebhookOut,
)

router = APIRouter(route_class=OperationRoute, tags=["webhooks"])


@router.post("/v1/webhooks", operation_id="createWebhook", status_code=201, response_model=CreateWebhookOut)
async def create_webhook(body: CreateWebhookIn, call: Call, agents: Agents) -> Response:
    """Make an endpoint. Its secret is in this answer and nowhere else."""
    issued = await agents.webhooks.create(call, body.to_domain())
    where = {"Location": f"/v1/webhooks/{issued.webhook.id}"}
    return answer(CreateWebhookOut.from_domain(issued), 201, where)


@router.get("/v1/webhooks", operation_id="listWebhooks")
async def list_webhooks(query: Annotated[PageQuery, Query()], call: Call, agents: Agents) -> ListWebhooksOut:
    """The endpoints, newest first."""
    page = await agents.webhooks.page(call, size=query.page_size, cursor=query.cursor)
    return ListWebhooksOut(
        webhooks=[WebhookOut.from_domain(one) for one in page.items], next_cursor=page.next_cursor
    )


@router.get("/v1/webhooks/{webhook_id:id}", operation_id="getWebhook")
async def get_webhook(webhook_id: str, call: Call, agents: Agents) -> WebhookOut:
    """One endpoint."""
    return WebhookOut.from_domain(await agents.webhooks.get(call, WebhookId(webhook_id)))


@router.put("/v1/webhooks/{webhook_id:id}", operation_id="updateWebhook")
async def update_webhook(webhook_id: str, body: UpdateWebhookIn, call: Call, agents: Agents) -> WebhookOut:
    """Replace what is said of an endpoint. Switching it off ends what is under way to it."""
    webhook = await agents.webhooks.update(call, WebhookId(webhook_id), body.to_domain())
    return WebhookOut.from_domain(webhook)


@router.delete("/v1/webhooks/{webhook_id:id}", operation_id="deleteWebhook", status_code=204)
async def delete_webhook(webhook_id: str, call: Call, agents: Agents) -> None:
    """Forget an endpoint and its deliveries."""
    await agents.webhooks.delete(call, WebhookId(webhook_id))


@router.post("/v1/webhooks/{webhook_id:id}:rotate", operation_id="rotateWebhookSecret")
async def rotate_webhook_secret(
    webhook_id: str, body: RotateWebhookSecretIn, call: Call, agents: Agents
) -> RotateWebhookSecretOut:
    """Give an endpoint a new secret, told in this answer only."""
    issued = await agents.webhooks.rotate_secret(call, WebhookId(webhook_id), overlap_s=body.overlap_s)
    return RotateWebhookSecretOut.from_domain(issued)


@router.get("/v1/webhooks/{webhook_id:id}/deliveries", operation_id="listWebhookDeliveries")
async def list_webhook_deliveries(
    webhook_id: str, query: Annotated[DeliveriesQuery, Query()], call: Call, agents: Agents
) -> ListWebhookDeliveriesOut:
    """What an endpoint was told, newest first."""
    page = await agents.webhooks.deliveries(
        call, WebhookId(webhook_id), states=query.states, size=query.page_size, cursor=query.cursor
    )
    return ListWebhookDeliveriesOut(
        deliveries=[WebhookDeliveryOut.from_domain(one) for one in page.items], next_cursor=page.next_cursor
    )


@router.post(
    "/v1/webhooks/{webhook_id:id}/deliveries/{delivery_id:id}:redeliver", operation_id="redeliverWebhook"
)
async def redeliver_webhook(
    webhook_id: str, delivery_id: str, call: Call, agents: Agents
) -> WebhookDeliveryOut:
    """Send a message again that succeeded or is dead."""
    delivery = await agents.webhooks.redeliver(call, WebhookId(webhook_id), DeliveryId(delivery_id))
    return WebhookDeliveryOut.from_domain(delivery)


@router.post("/v1/webhooks/{webhook_id:id}:test", operation_id="testWebhook")
async def test_webhook(webhook_id: str, call: Call, agents: Agents) -> WebhookDeliveryOut:
    """Send a `webhook.ping`; the listing of deliveries tells what came of it."""
    return WebhookDeliveryOut.from_domain(await agents.webhooks.test(call, WebhookId(webhook_id)))
