"""Arguments of the canonical actions: what each takes, and the error that names a wrong field."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import ActionNotSupportedError, FieldViolation, InvalidRequestError
from app.domain.sandboxes import ACTION_TYPES, Action

MAX_PATH_CHARS = 1_024
MAX_CODE_CHARS = 100_000
MAX_SQL_CHARS = 100_000
MAX_WAIT_MS = 600_000
MAX_READ_BYTES = 1_048_576

Path = Annotated[str, Field(min_length=1, max_length=MAX_PATH_CHARS)]
Scalar = str | int | float | bool | None


class ActionArguments(BaseModel):
    """Arguments of one action: strict types, and no name it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WriteFile(ActionArguments):
    """Write UTF-8 text (or bytes, as base64) to a file; parents are made."""

    path: Path
    content: str
    encoding: Literal["utf-8", "base64"] = "utf-8"
    append: bool = False


class ReadFile(ActionArguments):
    """Read a file, or a part of it, from byte `offset` on."""

    path: Path
    offset: int = Field(default=0, ge=0)
    max_bytes: int = Field(default=262_144, ge=1, le=MAX_READ_BYTES)


class ListFiles(ActionArguments):
    """List the files under a folder; the whole workspace by default."""

    path: Path = "."


class DeleteFile(ActionArguments):
    """Delete one file, or an empty folder."""

    path: Path


class RunCode(ActionArguments):
    """Run a program; its files are the workspace."""

    code: str = Field(min_length=1, max_length=MAX_CODE_CHARS)
    language: Literal["python"] = "python"


class QueryDatabase(ActionArguments):
    """One SQL statement on a SQLite database in the workspace; `parameters` fill its `?`."""

    path: Path
    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARS)
    parameters: list[Scalar] = Field(default_factory=list[Scalar], max_length=999)
    max_rows: int = Field(default=1_000, ge=1, le=10_000)


class Wait(ActionArguments):
    """Do nothing for a while, in milliseconds."""

    ms: int = Field(ge=0, le=MAX_WAIT_MS)


ARGUMENTS: Mapping[str, type[ActionArguments]] = {
    "write_file": WriteFile,
    "read_file": ReadFile,
    "list_files": ListFiles,
    "delete_file": DeleteFile,
    "run_code": RunCode,
    "query_database": QueryDatabase,
    "wait": Wait,
}
"""Actions whose arguments are known here; a make with others (a desktop) adds their rows."""


def arguments_of(action: Action, *, kind: str, supported: tuple[str, ...]) -> ActionArguments:
    """The validated arguments of an action.

    Raises InvalidRequestError (no such action, or a violation naming `arguments.<field>`) and
    ActionNotSupportedError for a canonical action that `kind` does not offer.
    """
    if action.type not in ACTION_TYPES:
        raise InvalidRequestError.of("type", f"no action {action.type[:64]!r}", "UNKNOWN_ACTION")
    if action.type not in supported:
        raise ActionNotSupportedError(
            f"a {kind} sandbox has no action {action.type}; it has {', '.join(supported)}",
            action=action.type,
            sandbox_kind=kind,
        )
    try:
        return ARGUMENTS[action.type].model_validate(action.arguments)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> InvalidRequestError:
    violations = [
        FieldViolation(
            field=".".join(["arguments", *(str(part) for part in problem["loc"])]),
            description=problem["msg"],
        )
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    told = "; ".join(f"{item.field}: {item.description}" for item in violations)
    return InvalidRequestError(told, violations=violations)
