"""SQL on a SQLite file of the task's workspace."""

from app.domain.tools import Danger, ToolInfo
from app.tools.base import Tool
from app.tools.builtin.files import MAX_PATH_CHARS
from app.tools.builtin.sandboxed import OPENING_S, SandboxTool
from app.tools.builtin.schemas import parameters, text

STEP_TIMEOUT_S = 20.0
MAX_SQL_CHARS = 20_000
MAX_PARAMETERS = 200


def sqlite_query() -> Tool:
    """`sqlite_query{path, sql, parameters?}`: the sandbox action `query_database`."""
    values: dict[str, object] = {
        "type": "array",
        "items": {"type": ["string", "number", "boolean", "null"]},
        "maxItems": MAX_PARAMETERS,
        "default": [],
        "description": "Values for the `?` placeholders, in order. Never paste values into the SQL text.",
    }
    path = text(
        "Path of the SQLite file in the workspace; it is made if it does not exist.",
        min_length=1,
        max_length=MAX_PATH_CHARS,
    )
    info = ToolInfo(
        name="sqlite_query",
        title="Query a SQLite database",
        description=(
            "Run one SQL statement on a SQLite file in the workspace: SELECT returns the rows, anything else "
            "is committed and returns how many rows changed."
        ),
        parameters=parameters(
            {
                "path": path,
                "sql": text("One SQL statement.", min_length=1, max_length=MAX_SQL_CHARS),
                "parameters": values,
            },
            required=("path", "sql"),
        ),
        category="data",
        tags=("sql", "workspace"),
        danger=Danger.CAUTION,
        timeout_s=STEP_TIMEOUT_S + OPENING_S,
        needs_sandbox=True,
    )
    return SandboxTool(info, "query_database", step_timeout_s=STEP_TIMEOUT_S, defaults={"parameters": []})
