"""Callers, and the tickets they ask for."""

from app.domain.identity import Principal
from app.policy.authentication.tickets import IssuedTicket
from grpc_service.gen.agentgateway.v1 import access_service_pb2 as pb
from grpc_service.native.mapping.values import timestamp_to_proto


def caller_to_proto(principal: Principal) -> pb.Caller:
    """The principal, for itself."""
    return pb.Caller(
        subject=principal.subject,
        tenant=principal.tenant,
        scopes=sorted(principal.scopes),
        credential=principal.credential,
        expire_time=timestamp_to_proto(principal.expires_at),
    )


def ticket_to_proto(issued: IssuedTicket) -> pb.CreateStreamTicketResponse:
    """The ticket, for who asked for it."""
    return pb.CreateStreamTicketResponse(
        ticket=issued.ticket.reveal(), expire_time=timestamp_to_proto(issued.expires_at)
    )
