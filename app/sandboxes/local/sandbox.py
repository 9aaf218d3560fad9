"""One open `local` sandbox: its actions, and what each reports back."""

import asyncio
import base64
import binascii
import hashlib
import logging
import mimetypes
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar, assert_never

from app.domain.artifacts import ArtifactRef
from app.domain.errors import (
    ActionNotSupportedError,
    CodeFailedError,
    DomainError,
    IllegalTransitionError,
    InvalidRequestError,
    SandboxCrashedError,
    StepTimeoutError,
    TargetNotFoundError,
)
from app.domain.ids import SandboxId
from app.domain.sandboxes import Action, StepResult, Verification
from app.sandboxes import actions
from app.sandboxes.base import SandboxSpec
from app.sandboxes.local import database
from app.sandboxes.local.code import CodeRunner, as_json, shown
from app.sandboxes.local.files import FileEntry, Workspace, clean
from app.sandboxes.local.waiting import finished
from app.telemetry import names
from app.telemetry.tracing import current_span

KIND = "local"
ACTIONS = (
    "write_file",
    "read_file",
    "list_files",
    "delete_file",
    "run_code",
    "query_database",
    "wait",
)
MAX_KEPT_FILES = 20
"""Files of one step that are also kept as artifacts."""
MAX_KEPT_BYTES = 16 * 1024 * 1024
CLOSE_PATIENCE_S = 2.0

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What an action has to say, before it is timed and signed."""

    output: str
    isolation: str
    data: dict[str, object] | None = None
    artifacts: tuple[ArtifactRef, ...] = ()
    verified: Verification | None = None
    failure: str | None = None


class LocalSandbox:
    """Makes `OpenSandbox` of a workspace, the code workers and SQLite."""

    def __init__(self, spec: SandboxSpec, workspace: Workspace, code: CodeRunner, threads: Executor) -> None:
        self._spec = spec
        self._workspace = workspace
        self._code = code
        self._threads = threads
        self._closed = False
        self._acting: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def id(self) -> SandboxId:
        return self._spec.id

    @property
    def kind(self) -> str:
        return KIND

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset({"files", "code:python"})

    async def act(self, action: Action, *, timeout_s: float) -> StepResult:
        """See `OpenSandbox.act`."""
        if self._closed:
            raise IllegalTransitionError(f"sandbox {self.id} is closed", sandbox_id=self.id)
        if timeout_s <= 0:
            raise InvalidRequestError.of("timeout_s", "must be more than 0")
        arguments = actions.arguments_of(action, kind=KIND, supported=ACTIONS)
        started_at, began = datetime.now(UTC), monotonic()
        current_span().happened(names.STEP_INPUT)
        whole = asyncio.timeout(timeout_s + 1.0)
        try:
            async with whole, self._counted(whole):
                report = await self._carry_out(arguments, timeout_s)
        except TimeoutError:
            if not whole.expired():
                raise
            if self._closed:
                raise SandboxCrashedError(f"the sandbox was closed while {action.type} ran") from None
            raise StepTimeoutError(f"{action.type} took longer than {timeout_s:g} s") from None
        except (TargetNotFoundError, CodeFailedError) as error:
            report = _Report(output=error.message, isolation="filesystem", failure=error.reason)
        return StepResult(
            action=action,
            status="ok" if report.failure is None else "failed",
            started_at=started_at,
            duration_s=round(monotonic() - began, 6),
            output=report.output,
            data=report.data,
            artifacts=report.artifacts,
            verified=report.verified,
            error_reason=report.failure,
            isolation=report.isolation,
        )

    async def screenshot(self) -> bytes:
        """A `local` sandbox has no screen."""
        raise ActionNotSupportedError(f"a {KIND} sandbox has no screen", action="screenshot")

    async def close(self) -> None:
        """End what runs (its caller gets SandboxCrashedError). Files stay."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for scope in self._acting:
            scope.reschedule(now)
        try:
            async with asyncio.timeout(CLOSE_PATIENCE_S):
                await self._idle.wait()
        except TimeoutError:
            log.error("sandbox %s: an action did not end within %s s", self.id, CLOSE_PATIENCE_S)

    @asynccontextmanager
    async def _counted(self, scope: asyncio.Timeout) -> AsyncGenerator[None]:
        """While inside, `close` ends the action by its scope and waits for it."""
        self._acting.add(scope)
        self._idle.clear()
        try:
            yield
        finally:
            self._acting.discard(scope)
            if not self._acting:
                self._idle.set()

    async def _carry_out(self, arguments: actions.ActionArguments, timeout_s: float) -> _Report:
        match arguments:
            case actions.WriteFile():
                return await self._write(arguments)
            case actions.ReadFile():
                return await self._read(arguments)
            case actions.ListFiles():
                return await self._list(arguments)
            case actions.DeleteFile():
                await self._in_thread(lambda: self._workspace.delete(arguments.path))
                return _Report(output=f"deleted {arguments.path}", isolation="filesystem")
            case actions.RunCode():
                return await self._run(arguments, timeout_s)
            case actions.QueryDatabase():
                return await self._query(arguments, timeout_s)
            case actions.Wait():
                async with asyncio.timeout(timeout_s):
                    await asyncio.sleep(arguments.ms / 1000)
                return _Report(output=f"waited {arguments.ms} ms", isolation="filesystem")
            case _:
                raise AssertionError(f"{type(arguments)} has no branch")

    async def _write(self, arguments: actions.WriteFile) -> _Report:
        data = _decoded(arguments)
        content = await self._in_thread(
            lambda: self._workspace.write(arguments.path, data, append=arguments.append)
        )
        expected = f"ends with {_told(data)}" if arguments.append else _told(data)
        seen = content.data[len(content.data) - len(data) :] if arguments.append else content.data
        verb = "appended" if arguments.append else "wrote"
        return _Report(
            output=f"{verb} {len(data)} bytes to {arguments.path} ({content.size_bytes} in all)",
            isolation="filesystem",
            data={"path": arguments.path, "size_bytes": content.size_bytes},
            artifacts=await self._keep([(clean(arguments.path), content.data)]),
            verified=Verification(
                expected=expected,
                seen=f"ends with {_told(seen)}" if arguments.append else _told(seen),
                ok=seen == data,
            ),
        )

    async def _read(self, arguments: actions.ReadFile) -> _Report:
        content = await self._in_thread(
            lambda: self._workspace.read(
                arguments.path, offset=arguments.offset, max_bytes=arguments.max_bytes
            )
        )
        truncated = arguments.offset + len(content.data) < content.size_bytes
        data: dict[str, object] = {
            "path": arguments.path,
            "size_bytes": content.size_bytes,
            "truncated": truncated,
        }
        text = _text(content.data, truncated=truncated)
        if text is None:
            kept = await self._keep([(clean(arguments.path), content.data)])
            output = f"{arguments.path} is not text: {_told(content.data)}"
            return _Report(
                output=output, isolation="filesystem", data=data | {"binary": True}, artifacts=kept
            )
        return _Report(output=text, isolation="filesystem", data=data | {"content": text})

    async def _list(self, arguments: actions.ListFiles) -> _Report:
        entries = (await self._in_thread(lambda: self._workspace.snapshot(arguments.path))).files
        listing: list[object] = [{"path": entry.path, "size_bytes": entry.size_bytes} for entry in entries]
        lines = [f"{entry.path} ({entry.size_bytes} bytes)" for entry in entries]
        return _Report(output="\n".join(lines) or "no files", isolation="filesystem", data={"files": listing})

    async def _run(self, arguments: actions.RunCode, timeout_s: float) -> _Report:
        before = await self._in_thread(self._workspace.snapshot)
        room = max(0, self._workspace.max_bytes - before.size_bytes)
        try:
            outcome = await self._code.run(
                arguments.code, self._workspace, room_bytes=room, timeout_s=timeout_s
            )
        except DomainError:
            await self._in_thread(lambda: self._workspace.settle(before))
            raise
        changed = await self._in_thread(lambda: self._workspace.settle(before))
        kept = await self._keep(await self._in_thread(lambda: self._contents(changed)))
        data: dict[str, object] = {
            "stdout": outcome.stdout,
            "value": as_json(outcome.value),
            "files": [entry.path for entry in changed],
        }
        pieces = [outcome.stdout.rstrip("\n")]
        if outcome.failure is not None:
            data["error"], data["error_type"] = outcome.failure, outcome.failure_type
            pieces.append(outcome.failure)
        elif outcome.value is not None:
            data["value_text"] = shown(outcome.value)
            pieces.append(outcome.value if isinstance(outcome.value, str) else shown(outcome.value))
        return _Report(
            output="\n".join(piece for piece in pieces if piece),
            isolation="monty",
            data=data,
            artifacts=kept,
            failure=CodeFailedError.reason if outcome.failure is not None else None,
        )

    async def _query(self, arguments: actions.QueryDatabase, timeout_s: float) -> _Report:
        path = await self._in_thread(lambda: self._workspace.checked(arguments.path))
        before = await self._in_thread(self._workspace.snapshot)
        others = sum(entry.size_bytes for entry in before.files if entry.path != clean(arguments.path))
        outcome = await database.query(
            path,
            arguments.sql,
            arguments.parameters,
            max_rows=arguments.max_rows,
            max_file_bytes=max(0, self._workspace.max_bytes - others),
            timeout_s=timeout_s,
        )
        if outcome.failure is not None:
            return _Report(
                output=f"SQLite: {outcome.failure}", isolation="process", failure=CodeFailedError.reason
            )
        data: dict[str, object] = {
            "columns": outcome.columns,
            "rows": outcome.rows,
            "truncated": outcome.truncated,
            "changed": outcome.changed,
        }
        return _Report(output=_table(outcome), isolation="process", data=data)

    def _contents(self, entries: Sequence[FileEntry]) -> list[tuple[str, bytes]]:
        small = [entry for entry in entries if entry.size_bytes <= MAX_KEPT_BYTES][:MAX_KEPT_FILES]
        read = self._workspace.read
        return [(entry.path, read(entry.path, offset=0, max_bytes=MAX_KEPT_BYTES).data) for entry in small]

    async def _keep(self, files: Sequence[tuple[str, bytes]]) -> tuple[ArtifactRef, ...]:
        current_span().happened(names.STEP_SETTLE)
        kept: list[ArtifactRef] = []
        for path, data in files:
            if len(data) <= MAX_KEPT_BYTES:
                media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
                kept.append(await self._spec.save_artifact(path, media_type, data))
        current_span().happened(names.STEP_CAPTURE)
        return tuple(kept)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await finished(self._threads, work)


def _decoded(arguments: actions.WriteFile) -> bytes:
    try:
        match arguments.encoding:
            case "utf-8":
                return arguments.content.encode()
            case "base64":
                return base64.b64decode(arguments.content, validate=True)
            case _:
                assert_never(arguments.encoding)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InvalidRequestError.of("arguments.content", f"is not {arguments.encoding}: {error}") from None


def _told(data: bytes) -> str:
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def _text(data: bytes, *, truncated: bool) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        # A cut may fall inside a character; anything else is not text.
        if truncated and error.start >= len(data) - 3:
            return data[: error.start].decode()
        return None


def _table(outcome: database.QueryOutcome) -> str:
    if not outcome.columns:
        return f"done, {outcome.changed} rows changed"
    lines = [" | ".join(outcome.columns)]
    lines += [" | ".join("NULL" if value is None else str(value) for value in row) for row in outcome.rows]
    if outcome.truncated:
        lines.append(f"... (only the first {len(outcome.rows)} rows)")
    return "\n".join(lines)
