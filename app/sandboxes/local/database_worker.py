"""Runs one SQL statement in a process of its own: a script, started with the standard library only.

Untrusted SQL may sort, join or recurse without end; a process can be limited in memory and time and
killed at any moment, and takes nothing with it. Reads a JSON request from stdin, writes a JSON
answer to stdout: `{"columns", "rows", "truncated", "changed"}` or `{"error", "kind"}`.
"""

import base64
import json
import resource
import sqlite3
import sys
from math import isfinite
from typing import TypedDict

_PRAGMAS = {
    "table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list", "foreign_keys",
    "user_version", "application_id", "integrity_check", "quick_check", "encoding", "page_count", "page_size",
    "data_version",  # asked by full-text tables
}  # fmt: skip
_FORBIDDEN_FUNCTIONS = {"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"}


class Request(TypedDict):
    """What `database.query` asks for."""

    path: str
    sql: str
    parameters: list[str | int | float | bool | None]
    max_rows: int
    max_result_bytes: int
    max_file_bytes: int
    max_memory_bytes: int
    max_cpu_s: int


Answer = dict[str, object]


def main() -> None:
    """Answer the one request."""
    request: Request = json.load(sys.stdin)
    answer: Answer
    _limit(request)
    try:
        answer = _answer(request)
    except sqlite3.DatabaseError as error:
        answer = {"error": str(error), "kind": _kind(error)}
    except MemoryError:
        answer = {"error": "out of memory", "kind": "limit"}
    except (ValueError, OverflowError, sqlite3.Warning) as error:
        answer = {"error": str(error), "kind": "failed"}
    json.dump(answer, sys.stdout)


def _limit(request: Request) -> None:
    for name, value in (
        (resource.RLIMIT_AS, request["max_memory_bytes"]),
        (resource.RLIMIT_CPU, request["max_cpu_s"]),
        (resource.RLIMIT_FSIZE, request["max_file_bytes"]),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(name)
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (wanted, wanted))


def _answer(request: Request) -> Answer:
    connection = sqlite3.connect(request["path"], isolation_level=None, timeout=1)
    try:
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        pages = request["max_file_bytes"] // connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {max(1, pages)}")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 16 * 1024 * 1024)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200)
        connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 20)
        connection.set_authorizer(_allowed)
        return _rows(connection, request)
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, request: Request) -> Answer:
    cursor = connection.execute(request["sql"], request["parameters"])
    rows: list[list[object]] = []
    size, truncated = 0, False
    for row in cursor:
        values = [_plain(value) for value in row]
        size += len(json.dumps(values))
        if len(rows) >= request["max_rows"] or size > request["max_result_bytes"]:
            truncated = True
            break
        rows.append(values)
    columns = [column[0] for column in cursor.description or ()]
    return {"columns": columns, "rows": rows, "truncated": truncated, "changed": max(0, cursor.rowcount)}


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def _allowed(action: int, first: str | None, second: str | None, *_: object) -> int:
    if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH):
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() not in _PRAGMAS:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _kind(error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if any(
        said in text for said in ("not authorized", "authorization denied", "prohibited", "too many attached")
    ):
        return "violation"
    if "full" in text or "disk I/O" in text or "too big" in text:
        return "limit"
    return "failed"


if __name__ == "__main__":
    main()
