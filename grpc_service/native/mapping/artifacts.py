"""Artifacts."""

from app.domain.artifacts import Artifact, ArtifactRef
from grpc_service.gen.agentgateway.v1 import artifact_pb2 as pb
from grpc_service.native.mapping.values import text_to_proto, timestamp_to_proto


def artifact_to_proto(ref: ArtifactRef) -> pb.Artifact:
    """What an event, a result or a listing says of an artifact."""
    return pb.Artifact(
        digest=ref.digest,
        name=text_to_proto(ref.name),
        media_type=text_to_proto(ref.media_type),
        size_bytes=ref.size_bytes,
    )


def described_artifact_to_proto(artifact: Artifact) -> pb.GetArtifactResponse:
    """An artifact with its time."""
    return pb.GetArtifactResponse(
        artifact=artifact_to_proto(artifact.ref), create_time=timestamp_to_proto(artifact.created_at)
    )
