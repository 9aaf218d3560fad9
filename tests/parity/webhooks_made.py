"""Webhooks of the tests of walls and scopes: they lead to nobody, and no task of these tests tells them."""

from tests.parity.drivers import Driver, Plain

A_WEBHOOK: Plain = {"url": "https://93.184.216.34/hook", "events": ["task.expired"]}


async def a_webhook(api: Driver) -> tuple[str, str]:
    """The ids of a new one and of its test message."""
    made = await api.call("WebhookService/CreateWebhook", **A_WEBHOOK)
    ping = await api.call("WebhookService/TestWebhook", webhook_id=made["webhook"]["id"])
    return made["webhook"]["id"], ping["id"]


def webhook_requests(webhook_id: str, delivery_id: str) -> dict[str, Plain | None]:
    """A request for each RPC of the service; None where one names nothing."""
    webhook = {"webhook_id": webhook_id}
    return {
        "WebhookService/CreateWebhook": None,
        "WebhookService/GetWebhook": webhook,
        "WebhookService/ListWebhooks": None,
        "WebhookService/UpdateWebhook": {**webhook, **A_WEBHOOK},
        "WebhookService/DeleteWebhook": webhook,
        "WebhookService/RotateWebhookSecret": webhook,
        "WebhookService/ListWebhookDeliveries": webhook,
        "WebhookService/RedeliverWebhook": {**webhook, "delivery_id": delivery_id},
        "WebhookService/TestWebhook": webhook,
    }
