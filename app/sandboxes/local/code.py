"""Python code by monty: an interpreter of a Python subset in worker processes, with hard limits.

It has no system calls of its own: files exist only as far as the workspace is mounted, and sockets,
processes and the environment do not exist at all.
"""

import asyncio
import json
import logging
import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from pydantic_monty import (
    AsyncMonty,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    MontyTypingError,
    MountDir,
    ResourceLimits,
)

from app.domain.errors import (
    DomainError,
    SandboxCrashedError,
    SandboxLimitError,
    SandboxUnavailableError,
    SandboxViolationError,
    StepTimeoutError,
)
from app.sandboxes.local.files import VIRTUAL_ROOT, Workspace

log = logging.getLogger(__name__)

MAX_VALUE_CHARS = 16_384
MAX_TRACEBACK_CHARS = 8_192
_GRACE_S = 0.5
"""What a program is given beyond its own clock before its worker is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLimits:
    """Limits of one run."""

    max_memory_bytes: int = 128 * 1024 * 1024
    max_recursion: int = 400
    max_output_bytes: int = 256 * 1024
    max_system_calls: int = 4_000
    """File operations and sleeps."""
    max_workers: int = 8
    """Programs running at once in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeOutcome:
    """What a program said: `value` is its last expression; `failure` its traceback, if it raised."""

    stdout: str
    value: object = None
    failure: str | None = None
    failure_type: str | None = None


class CodeRunner:
    """A pool of workers, started with the first program."""

    def __init__(self, limits: CodeLimits) -> None:
        self._limits = limits
        self._stack = AsyncExitStack()
        self._starting = asyncio.Lock()
        self._pool: AsyncMonty | None = None

    async def start(self) -> AsyncMonty:
        """Start the pool if need be. Raises SandboxUnavailableError."""
        async with self._starting:
            if self._pool is None:
                pool = AsyncMonty(min_processes=1, max_processes=self._limits.max_workers)
                try:
                    self._pool = await self._stack.enter_async_context(pool)
                except (MontyError, OSError, RuntimeError) as error:
                    raise SandboxUnavailableError(
                        f"the code workers do not start: {error}", install="pip install pydantic-monty"
                    ) from error
            return self._pool

    async def run(self, code: str, workspace: Workspace, *, room_bytes: int, timeout_s: float) -> CodeOutcome:
        """Run a program in a fresh session with the workspace mounted at `/workspace`.

        Raises StepTimeoutError, SandboxLimitError, SandboxViolationError, SandboxCrashedError.
        Cancelling kills the worker that runs it.
        """
        pool = await self.start()
        printed = _Printed(self._limits.max_output_bytes)
        mount = MountDir(
            host_path=workspace.files,
            virtual_path=VIRTUAL_ROOT,
            mode="read-write",
            write_bytes_limit=room_bytes,
        )
        value: object = None
        try:
            async with asyncio.timeout(timeout_s + _GRACE_S) as deadline:
                printed.stop_by(deadline)
                with mount:
                    async with pool.checkout(limits=self._resources(timeout_s)) as session:
                        value = await session.feed_run(code, print_callback=printed, mount=mount)
        except TimeoutError:
            printed.check()
            raise StepTimeoutError(f"the code ran longer than {timeout_s:g} s") from None
        except MontyCrashedError as error:
            log.warning("a code worker died: %s", error)
            if error.timed_out:
                raise StepTimeoutError(f"the code ran longer than {timeout_s:g} s") from None
            raise SandboxCrashedError("the code's worker process died") from None
        except MontyError as error:
            printed.check()
            return self._failed(error, printed.text, timeout_s)
        finally:
            printed.close()
        printed.check()
        return CodeOutcome(stdout=printed.text, value=value)

    async def aclose(self) -> None:
        """End the workers."""
        self._pool = None
        await self._stack.aclose()

    def _resources(self, timeout_s: float) -> ResourceLimits:
        return ResourceLimits(
            max_feed_duration_secs=timeout_s,
            max_total_sleep_secs=timeout_s,
            max_memory=self._limits.max_memory_bytes,
            max_recursion_depth=self._limits.max_recursion,
            max_suspensions=self._limits.max_system_calls,
        )

    def _failed(self, error: MontyError, stdout: str, timeout_s: float) -> CodeOutcome:
        """What the program did wrong: a limit or an escape is raised, its own mistake returned."""
        cause = error.exception()
        refusal = _refusal(cause, timeout_s)
        if refusal is not None:
            raise refusal
        if isinstance(error, MontyRuntimeError | MontySyntaxError):
            told = error.display("traceback")
        elif isinstance(error, MontyTypingError):
            told = error.display()
        else:
            told = str(error)
        if isinstance(cause, NotImplementedError | ModuleNotFoundError):
            told += (
                "\nThis sandbox runs a subset of Python: no class inheritance, no generators (yield), and of "
                "the standard library json, re, math, datetime, random, decimal, csv, collections, "
                "itertools, functools, pathlib and a few more."
            )
        return CodeOutcome(
            stdout=stdout, failure=told[-MAX_TRACEBACK_CHARS:], failure_type=type(cause).__name__
        )


def _refusal(cause: BaseException, timeout_s: float) -> DomainError | None:
    text = str(cause)
    if isinstance(cause, MemoryError):
        return SandboxLimitError(f"the code used too much memory: {text}", limit="memory")
    if isinstance(cause, RecursionError):
        return SandboxLimitError(f"the code recursed too deeply: {text}", limit="recursion")
    if isinstance(cause, TimeoutError):
        return StepTimeoutError(f"the code ran longer than {timeout_s:g} s: {text}")
    if isinstance(cause, PermissionError):
        return SandboxViolationError(f"the code reached out of its sandbox: {text}")
    if isinstance(cause, OSError) and "disk write limit" in text:
        return SandboxLimitError(f"the code filled the workspace: {text}", limit="workspace_bytes")
    if isinstance(cause, RuntimeError) and "suspension limit" in text:
        return SandboxLimitError("the code made too many file operations", limit="system_calls")
    if isinstance(cause, RuntimeError) and text.startswith(("'os.environ'", "'os.getenv'")):
        return SandboxViolationError(f"the code reached out of its sandbox: {text}")
    return None


class _Printed:
    """Collects what a program prints and, beyond the cap, ends it at once.

    monty calls this on a thread of its own; only the deadline is touched on the event loop.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._pieces: list[str] = []
        self._over = False
        self._stop: Callable[[], None] | None = None

    def stop_by(self, deadline: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()

        def end_now() -> None:
            if self._stop is not None:
                deadline.reschedule(loop.time())

        self._stop = lambda: _quietly(loop, end_now)

    def close(self) -> None:
        self._stop = None

    def __call__(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        del stream
        if self._over:
            return
        self._size += len(text.encode(errors="replace"))
        self._pieces.append(text)
        if self._size > self._max_bytes:
            self._over = True
            stop = self._stop
            if stop is not None:
                stop()

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def check(self) -> None:
        if self._over:
            raise SandboxLimitError(f"the code printed more than {self._max_bytes} bytes", limit="output")


def _quietly(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def shown(value: object) -> str:
    """A value as text, at most `MAX_VALUE_CHARS`."""
    try:
        text = repr(value)
    except (RecursionError, ValueError) as error:  # nested too deeply; an int of too many digits
        return f"<a value that cannot be shown: {error}>"
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + " ..."


def as_json(value: object) -> object:
    """The value if JSON can carry it unchanged and it is small, else None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        text = json.dumps(value, allow_nan=False)
        return value if len(text) <= MAX_VALUE_CHARS and json.loads(text) == value else None
    except (TypeError, ValueError, RecursionError):
        return None
