"""The server itself and the models it can use."""

from collections.abc import Sequence

from app.service.server import ModelInfo, ServerInfo
from grpc_service.gen.agentgateway.v1 import server_service_pb2 as pb
from grpc_service.native.mapping.values import timestamp_to_proto


def server_info_to_proto(info: ServerInfo) -> pb.GetServerInfoResponse:
    """What this process is and how busy."""
    identity = info.identity
    return pb.GetServerInfoResponse(
        name=identity.name,
        version=identity.version,
        instance_id=identity.instance_id,
        start_time=timestamp_to_proto(identity.started_at),
        storage=identity.storage,
        default_model=info.default_model,
        max_concurrent_tasks=identity.max_concurrent_tasks,
        max_queued_tasks=identity.max_queued_tasks,
        running_tasks=info.running_tasks,
        queued_tasks=info.queued_tasks,
        draining=info.draining,
        services=identity.services,
    )


def models_to_proto(models: Sequence[ModelInfo], default: str) -> pb.ListModelsResponse:
    """The models, and the one used by tasks that name none."""
    return pb.ListModelsResponse(
        models=[
            pb.Model(
                id=model.id,
                provider=model.provider,
                available=model.available,
                unavailable_reason=model.unavailable_reason,
                deterministic=model.deterministic,
            )
            for model in models
        ],
        default_model=default,
    )
