"""Server reflection in both versions that clients ask for.

The package serves `grpc.reflection.v1alpha` only. `v1` has the same messages under another name, so the
same servicer answers both; its file is declared here so that reflection can describe itself.
"""

from collections.abc import Iterable
from typing import Any, Final, cast

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

from grpc_service.methods import Handlers, handlers_of

V1: Final = "grpc.reflection.v1.ServerReflection"
V1ALPHA: Final = "grpc.reflection.v1alpha.ServerReflection"
_FILE: Final = "grpc/reflection/v1/reflection.proto"


def reflection_handlers(services: Iterable[str]) -> Handlers:
    """Handlers that describe `services` (full names) and reflection itself."""
    servicer: Any = cast("Any", reflection).aio.ReflectionServicer((*services, V1, V1ALPHA))
    alpha = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    _declare_v1()
    return handlers_of(alpha, servicer) | handlers_of(alpha, servicer, name=V1)


def _declare_v1() -> FileDescriptor:
    pool = descriptor_pool.Default()
    try:
        return pool.FindFileByName(_FILE)
    except KeyError:
        text = reflection_pb2.DESCRIPTOR.serialized_pb
        file = descriptor_pb2.FileDescriptorProto.FromString(text)
        _rename(file)
        pool.AddSerializedFile(file.SerializeToString())
        return pool.FindFileByName(_FILE)


def _rename(file: descriptor_pb2.FileDescriptorProto) -> None:
    alpha, file.name, file.package = f".{file.package}.", _FILE, V1.rpartition(".")[0]
    v1 = f".{file.package}."
    file.ClearField("options")
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(alpha, v1)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(alpha, v1)
        method.output_type = method.output_type.replace(alpha, v1)
