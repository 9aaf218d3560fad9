"""Serves a servicer by its descriptor: bytes in, bytes out.

gRPC gets no (de)serializers from us. So a message that cannot be parsed is refused like any other bad
request, after admission and by our error rendering (grpc.aio itself would answer UNKNOWN with the
exception's text), and a handler may answer with ready bytes, encoded once for many readers.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from app.domain.errors import InvalidRequestError

if TYPE_CHECKING:  # generic in the stubs only
    Handler = grpc.RpcMethodHandler[Any, Any]
    _GenericRpcHandler = grpc.GenericRpcHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
    _GenericRpcHandler = grpc.GenericRpcHandler

Answer = Message | bytes
Handlers = dict[str, Handler]
Decode = Callable[[bytes], Message]


class MethodTable(_GenericRpcHandler):
    """All methods of a server by their full name: one look-up a call, however many services."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """The method's handler; None makes gRPC answer UNIMPLEMENTED."""
        return self._handlers.get(handler_call_details.method)


def handlers_of(service: ServiceDescriptor, servicer: object, *, name: str | None = None) -> Handlers:
    """A handler for each method of `service`, by full method name (`/package.Service/Method`).

    `name` serves it under another full service name. Raises AttributeError when the servicer lacks
    a method.
    """
    return {
        f"/{name or service.full_name}/{method.name}": _handler(method, getattr(servicer, method.name))
        for method in service.methods
    }


def _handler(method: MethodDescriptor, behaviour: Callable[..., Any]) -> Handler:
    decode = _decoder(method)
    make: Any = grpc  # the stubs cannot tell these types
    if method.client_streaming and method.server_streaming:
        return make.stream_stream_rpc_method_handler(_bidirectional(decode, behaviour))
    if method.client_streaming:
        raise NotImplementedError(f"{method.full_name}: no service here takes a stream and answers once")
    if method.server_streaming:
        return make.unary_stream_rpc_method_handler(_streaming(decode, behaviour))
    return make.unary_unary_rpc_method_handler(_unary(decode, behaviour))


def _decoder(method: MethodDescriptor) -> Decode:
    parse = GetMessageClass(method.input_type).FromString
    name = method.input_type.full_name

    def decode(raw: bytes) -> Message:
        try:
            return parse(raw)
        except DecodeError:
            raise InvalidRequestError(f"the request is not a valid {name} message") from None

    return decode


def _unary(decode: Decode, behaviour: Callable[[Message, Any], Awaitable[Message]]) -> Any:
    async def serve(raw: bytes, context: Any) -> bytes:
        return (await behaviour(decode(raw), context)).SerializeToString()

    return serve


def _streaming(decode: Decode, behaviour: Callable[[Message, Any], AsyncGenerator[Answer, None]]) -> Any:
    async def serve(raw: bytes, context: Any) -> AsyncGenerator[bytes, None]:
        async with aclosing(behaviour(decode(raw), context)) as answers:
            async for answer in answers:
                yield answer if isinstance(answer, bytes) else answer.SerializeToString()

    return serve


def _bidirectional(decode: Decode, behaviour: Callable[..., AsyncGenerator[Answer, None]]) -> Any:
    async def serve(raws: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes, None]:
        async def requests() -> AsyncIterator[Message]:
            async for raw in raws:
                yield decode(raw)

        async with aclosing(behaviour(requests(), context)) as answers:
            async for answer in answers:
                yield answer if isinstance(answer, bytes) else answer.SerializeToString()

    return serve
