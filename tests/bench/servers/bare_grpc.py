"""The baseline of gRPC: grpc.aio on uvloop, one method, a protobuf message in and one out, nothing else.

The request's text begins with the size of the answer's, so that one server stands in for every method.
"""

import asyncio
import signal
import sys

import grpc
import grpc.aio
import uvloop
from google.protobuf.wrappers_pb2 import StringValue

METHOD = "/bare.Echo/Echo"


async def echo(request: StringValue, context: object) -> StringValue:
    """Answer with a text as long as was asked for."""
    del context
    return StringValue(value="x" * int(request.value))


async def serve() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"gRPC 127.0.0.1:{port}", file=sys.stderr)
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    uvloop.run(serve())
