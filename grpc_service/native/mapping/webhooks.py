"""Webhooks on the wire: everything but their secrets."""

from typing import Final

from app.domain.errors import InvalidRequestError
from app.domain.secrets import MASK, Secret
from app.domain.webhooks import Delivery, DeliveryState, Webhook
from app.service.webhooks import WebhookInput
from grpc_service.gen.agentgateway.v1 import webhook_service_pb2 as pb
from grpc_service.native.mapping.values import text_to_proto, timestamp_to_proto

STATES: Final[dict[DeliveryState, pb.DeliveryState]] = {
    DeliveryState.PENDING: pb.DELIVERY_STATE_PENDING,
    DeliveryState.FAILED: pb.DELIVERY_STATE_FAILED,
    DeliveryState.SUCCEEDED: pb.DELIVERY_STATE_SUCCEEDED,
    DeliveryState.DEAD: pb.DELIVERY_STATE_DEAD,
}
_FROM_STATES: Final = {number: state for state, number in STATES.items()}


def webhook_to_proto(webhook: Webhook) -> pb.Webhook:
    """One endpoint."""
    return pb.Webhook(
        id=webhook.id,
        url=webhook.url,
        events=webhook.events,
        description=webhook.description,
        enabled=webhook.enabled,
        disabled_reason=webhook.disabled_reason,
        secret=MASK,
        create_time=timestamp_to_proto(webhook.created_at),
        update_time=timestamp_to_proto(webhook.updated_at),
        rotate_time=timestamp_to_proto(webhook.rotated_at),
        previous_expire_time=timestamp_to_proto(webhook.previous_until),
        failing_since_time=timestamp_to_proto(webhook.failing_since),
    )


def delivery_to_proto(delivery: Delivery) -> pb.WebhookDelivery:
    """One delivery."""
    return pb.WebhookDelivery(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        task_id=delivery.task_id or "",
        seq=delivery.seq,
        type=delivery.type,
        state=STATES[delivery.state],
        attempts=delivery.attempts,
        create_time=timestamp_to_proto(delivery.created_at),
        next_attempt_time=timestamp_to_proto(delivery.next_attempt_at),
        last_attempt_time=timestamp_to_proto(delivery.last_attempt_at),
        end_time=timestamp_to_proto(delivery.ended_at),
        last_status=delivery.last_status,
        last_error=text_to_proto(delivery.last_error),
    )


def webhook_from_proto(request: pb.CreateWebhookRequest | pb.UpdateWebhookRequest) -> WebhookInput:
    """What a caller says of an endpoint."""
    return WebhookInput(
        url=request.url,
        events=tuple(request.events),
        description=request.description,
        enabled=request.enabled if request.HasField("enabled") else None,
        secret=Secret(request.secret) if request.secret else None,
    )


def states_from_proto(request: pb.ListWebhookDeliveriesRequest) -> frozenset[DeliveryState] | None:
    """None for any. Raises InvalidRequestError for a number we do not know."""
    for index, number in enumerate(request.states):
        if number not in _FROM_STATES:
            raise InvalidRequestError.of(f"states.{index}", f"unknown value {number}", "UNKNOWN_VALUE")
    return frozenset(_FROM_STATES[number] for number in request.states) or None
