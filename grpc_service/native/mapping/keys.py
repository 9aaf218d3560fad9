"""API keys on the wire: everything but their texts."""

from app.domain.credentials import ApiKey
from app.service.keys import NewKey
from grpc_service.gen.agentgateway.v1 import key_service_pb2 as pb
from grpc_service.native.mapping.values import timestamp_from_proto, timestamp_to_proto


def key_to_proto(key: ApiKey) -> pb.ApiKey:
    """One key."""
    return pb.ApiKey(
        id=key.id,
        prefix=key.prefix,
        name=key.name,
        subject=key.subject,
        scopes=sorted(key.scopes),
        create_time=timestamp_to_proto(key.created_at),
        created_by=key.created_by,
        expire_time=timestamp_to_proto(key.expires_at),
        revoke_time=timestamp_to_proto(key.revoked_at),
        rotate_time=timestamp_to_proto(key.rotated_at),
        previous_expire_time=timestamp_to_proto(key.previous_until),
        last_use_time=timestamp_to_proto(key.last_used_at),
    )


def new_key_from_proto(request: pb.CreateKeyRequest) -> NewKey:
    """Raises InvalidRequestError for a time that is none."""
    return NewKey(
        name=request.name,
        subject=request.subject,
        scopes=tuple(request.scopes),
        expires_at=timestamp_from_proto("expire_time", request.expire_time)
        if request.HasField("expire_time")
        else None,
    )
