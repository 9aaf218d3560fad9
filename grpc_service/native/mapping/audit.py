"""Entries of the audit log, and the conditions for them."""

from typing import Final

from app.domain.audit import AuditEntry, AuditFilter, AuditOutcome
from app.domain.errors import InvalidRequestError
from grpc_service.gen.agentgateway.v1 import audit_service_pb2 as pb
from grpc_service.native.mapping.values import timestamp_from_proto, timestamp_to_proto

OUTCOMES: Final[dict[AuditOutcome, pb.AuditOutcome]] = {
    "ok": pb.AUDIT_OUTCOME_OK,
    "refused": pb.AUDIT_OUTCOME_REFUSED,
    "failed": pb.AUDIT_OUTCOME_FAILED,
    "unknown": pb.AUDIT_OUTCOME_UNKNOWN,
}
_FROM_OUTCOMES: Final[dict[int, AuditOutcome]] = {
    int(number): outcome for outcome, number in OUTCOMES.items()
}


def entry_to_proto(entry: AuditEntry) -> pb.AuditEntry:
    """One entry."""
    return pb.AuditEntry(
        id=entry.id,
        time=timestamp_to_proto(entry.at),
        subject=entry.subject,
        credential=entry.credential,
        credential_id=entry.credential_id,
        action=entry.action,
        resource=entry.resource,
        resource_id=entry.resource_id,
        outcome=OUTCOMES[entry.outcome],
        reason=entry.reason,
        request_id=entry.request_id,
        trace_id=entry.trace_id,
        protocol=entry.protocol,
        peer=entry.peer,
        count=entry.count,
    )


def audit_filter_from_proto(request: pb.ListAuditEntriesRequest) -> AuditFilter:
    """Raises InvalidRequestError."""
    return AuditFilter(
        since=timestamp_from_proto("since", request.since) if request.HasField("since") else None,
        until=timestamp_from_proto("until", request.until) if request.HasField("until") else None,
        subject=request.subject or None,
        action=request.action or None,
        resource=request.resource or None,
        resource_id=request.resource_id or None,
        outcome=_outcome_from_proto(int(request.outcome)),
    )


def _outcome_from_proto(number: int) -> AuditOutcome | None:
    if number and number not in _FROM_OUTCOMES:
        raise InvalidRequestError.of("outcome", f"unknown value {number}", "UNKNOWN_VALUE")
    return _FROM_OUTCOMES.get(number)
