"""Configurations and limits. A key goes in, and never comes out."""

from app.domain.configuration import GlobalConfiguration, TaskConfiguration, TaskLimits
from app.domain.secrets import MASK, Secret
from grpc_service.gen.agentgateway.v1 import configuration_pb2 as pb
from grpc_service.native.mapping.values import etag_to_proto, timestamp_to_proto


def configuration_to_proto(values: TaskConfiguration) -> pb.TaskConfiguration:
    """What is set is set; a key reads as the mask."""
    return pb.TaskConfiguration(
        model=values.model,
        model_base_url=values.model_base_url,
        model_api_key=MASK if values.model_api_key else None,
        temperature=values.temperature,
        max_output_tokens=values.max_output_tokens,
        sandbox_kind=values.sandbox_kind,
        tools=None if values.tools is None else pb.ToolSelection(names=values.tools),
        limits=_limits_to_proto(values.limits),
    )


def configuration_from_proto(values: pb.TaskConfiguration) -> TaskConfiguration:
    """Ranges are the service's business; here only presence counts."""
    return TaskConfiguration(
        model=values.model if values.HasField("model") else None,
        model_base_url=values.model_base_url if values.HasField("model_base_url") else None,
        model_api_key=Secret(values.model_api_key) if values.HasField("model_api_key") else None,
        temperature=values.temperature if values.HasField("temperature") else None,
        max_output_tokens=values.max_output_tokens if values.HasField("max_output_tokens") else None,
        sandbox_kind=values.sandbox_kind if values.HasField("sandbox_kind") else None,
        tools=tuple(values.tools.names) if values.HasField("tools") else None,
        limits=_limits_from_proto(values.limits),
    )


def global_configuration_to_proto(configuration: GlobalConfiguration) -> pb.Configuration:
    """The tenant's configuration with its etag."""
    return pb.Configuration(
        values=configuration_to_proto(configuration.values),
        etag=etag_to_proto(configuration.version),
        update_time=timestamp_to_proto(configuration.updated_at),
    )


def _limits_to_proto(limits: TaskLimits) -> pb.TaskLimits | None:
    if limits == TaskLimits():
        return None
    return pb.TaskLimits(
        max_steps=limits.max_steps,
        wall_time_s=limits.wall_time_s,
        max_tokens=limits.max_tokens,
        max_cost_usd=limits.max_cost_usd,
    )


def _limits_from_proto(limits: pb.TaskLimits) -> TaskLimits:
    return TaskLimits(
        max_steps=limits.max_steps if limits.HasField("max_steps") else None,
        wall_time_s=limits.wall_time_s if limits.HasField("wall_time_s") else None,
        max_tokens=limits.max_tokens if limits.HasField("max_tokens") else None,
        max_cost_usd=limits.max_cost_usd if limits.HasField("max_cost_usd") else None,
    )
