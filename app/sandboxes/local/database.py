"""SQL on the workspace's SQLite databases, one statement at a time in a process that can be killed."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from app.domain.errors import (
    SandboxCrashedError,
    SandboxLimitError,
    SandboxViolationError,
    StepTimeoutError,
)

MAX_MEMORY_BYTES = 256 * 1024 * 1024
MAX_RESULT_BYTES = 1024 * 1024
_WORKER = Path(__file__).with_name("database_worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOutcome:
    """Rows (BLOBs as `{"base64": ...}`), or what SQLite said was wrong."""

    columns: list[str]
    rows: list[list[object]]
    truncated: bool = False
    changed: int = 0
    failure: str | None = None


async def query(
    database: Path,
    sql: str,
    parameters: list[str | int | float | bool | None],
    *,
    max_rows: int,
    max_file_bytes: int,
    timeout_s: float,
) -> QueryOutcome:
    """Run one statement. No ATTACH, no extensions, no PRAGMA that changes how SQLite works.

    Raises StepTimeoutError, SandboxLimitError, SandboxViolationError, SandboxCrashedError.
    Cancelling kills the process.
    """
    request = {
        "path": database.name,
        "sql": sql,
        "parameters": parameters,
        "max_rows": max_rows,
        "max_result_bytes": MAX_RESULT_BYTES,
        "max_file_bytes": max_file_bytes,
        "max_memory_bytes": MAX_MEMORY_BYTES,
        "max_cpu_s": int(timeout_s) + 2,
    }
    answer = await _ask_worker(json.dumps(request).encode(), database.parent, timeout_s)
    match answer:
        case {"error": str(text), "kind": "violation"}:
            raise SandboxViolationError(f"the statement reaches out of its sandbox: {text}")
        case {"error": str(text), "kind": "limit"}:
            raise SandboxLimitError(f"the statement reached a limit: {text}", limit="database")
        case {"error": str(text)}:
            return QueryOutcome(columns=[], rows=[], failure=text)
        case _:
            return QueryOutcome(
                columns=cast("list[str]", answer["columns"]),
                rows=cast("list[list[object]]", answer["rows"]),
                truncated=bool(answer["truncated"]),
                changed=cast("int", answer["changed"]),
            )


async def _ask_worker(request: bytes, folder: Path, timeout_s: float) -> dict[str, object]:
    # -I -S: no site-packages, nothing imported from the folder; the environment is empty.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(_WORKER), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd=folder, env={}
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, _ = await process.communicate(request)
    except TimeoutError:
        raise StepTimeoutError(f"the statement ran longer than {timeout_s:g} s") from None
    finally:
        await _end(process)
    try:
        return cast("dict[str, object]", json.loads(answer))
    except ValueError:
        # It had no memory left even to say so, or the kernel stopped it at a limit.
        if process.returncode in (0, None):
            raise SandboxCrashedError("the statement's process gave no answer") from None
        raise SandboxLimitError("the statement used too much memory or time", limit="database") from None


async def _end(process: Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            pass
        await asyncio.shield(process.wait())
