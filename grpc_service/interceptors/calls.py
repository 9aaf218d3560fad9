"""How a servicer learns who calls: the admitted call of the RPC it runs in.

A context variable, set once per RPC: grpc.aio's context takes no attributes, and each RPC runs in a task
of its own, so nothing leaks to another call; tasks started by the handler inherit it.
"""

from contextvars import ContextVar
from dataclasses import replace

from app.domain.call import CallContext, Idempotency

_call: ContextVar[CallContext] = ContextVar("grpc_call")


def enter_call(call: CallContext) -> None:
    """Remember the admitted call for the rest of this RPC."""
    _call.set(call)


def call_from(context: object) -> CallContext:
    """The call that was admitted for the RPC of `context`; for servicers, inside their RPC only.

    Raises LookupError in a public method, which has no caller.
    """
    del context  # the RPC's task is the context; servicers need not know
    return _call.get()


def keyed_call_from(context: object, request_id: str) -> CallContext:
    """The same; a message's own `request_id` is its idempotency key, before that of the metadata."""
    call = call_from(context)
    if request_id:
        call = replace(call, idempotency=Idempotency(request_id))
        enter_call(call)
    return call


def was_replayed() -> bool:
    """Whether the answer of this RPC is that of an earlier one, with the same idempotency key."""
    idempotency = _call.get().idempotency
    return idempotency is not None and idempotency.replayed
