"""How a servicer learns who calls: the admitted call of the RPC it runs in.

A context variable, set once per RPC: grpc.aio's context takes no attributes, and each RPC runs in a task
of its own, so nothing leaks to another call; tasks started by the handler inherit it.
"""

from contextvars import ContextVar

from app.domain.call import CallContext

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
