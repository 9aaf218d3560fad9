"""What every log line says about the work it belongs to: request, trace, task, tenant."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

REQUEST_ID = "request_id"
TRACE_ID = "trace_id"
SPAN_ID = "span_id"
TASK_ID = "task_id"
TENANT = "tenant"

_NOTHING: Mapping[str, str] = MappingProxyType({})
_fields: ContextVar[Mapping[str, str]] = ContextVar("gateway_log_fields", default=_NOTHING)


def current() -> Mapping[str, str]:
    """The fields bound in this context; never changed in place."""
    return _fields.get()


def bind(**fields: str | None) -> None:
    """Add `fields` to this context for as long as it lives; None changes nothing.

    For the start of a coroutine that runs as a task of its own (an RPC handler, a worker): its context
    ends with it. It is also the only way that fits a generator, whose parts may run in other contexts.
    """
    _fields.set(_with(fields))


@contextmanager
def bound(**fields: str | None) -> Generator[None]:
    """Add `fields` within the block. Never around a `yield` of an async generator: use `bind`."""
    token = _fields.set(_with(fields))
    try:
        yield
    finally:
        _fields.reset(token)


def _with(fields: Mapping[str, str | None]) -> Mapping[str, str]:
    return {**_fields.get(), **{name: value for name, value in fields.items() if value is not None}}
