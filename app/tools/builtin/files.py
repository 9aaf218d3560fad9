"""Files of the task's workspace: write, read, list, delete."""

from app.domain.tools import Danger, ToolInfo
from app.tools.base import Tool
from app.tools.builtin.sandboxed import OPENING_S, SandboxTool
from app.tools.builtin.schemas import parameters, text

STEP_TIMEOUT_S = 10.0
MAX_PATH_CHARS = 512
MAX_CONTENT_CHARS = 1_000_000

_PATH = text(
    "Path of the file in the workspace, relative, with forward slashes: `notes/plan.txt`.",
    min_length=1,
    max_length=MAX_PATH_CHARS,
)
_FOLDER = text(
    "Folder in the workspace, relative; the whole workspace if left out.",
    min_length=1,
    max_length=MAX_PATH_CHARS,
)


def file_tools() -> list[Tool]:
    """The four of them; each is the sandbox action of the same name."""
    return [write_file(), read_file(), list_files(), delete_file()]


def write_file() -> Tool:
    """`write_file{path, content, append?}`."""
    content = text("The text to write.", max_length=MAX_CONTENT_CHARS)
    append = {
        "type": "boolean",
        "default": False,
        "description": "Add to the end of the file instead of replacing it.",
    }
    return SandboxTool(
        _info(
            "write_file",
            "Write a file",
            "Write text to a file in the workspace, making it and its folders if need be. "
            "Replaces what was there unless `append` is true.",
            parameters({"path": _PATH, "content": content, "append": append}, required=("path", "content")),
            tags=("write",),
        ),
        "write_file",
        step_timeout_s=STEP_TIMEOUT_S,
        defaults={"append": False},
    )


def read_file() -> Tool:
    """`read_file{path}`."""
    return SandboxTool(
        _info(
            "read_file",
            "Read a file",
            "Return the text of a file in the workspace.",
            parameters({"path": _PATH}, required=("path",)),
            tags=("read",),
        ),
        "read_file",
        step_timeout_s=STEP_TIMEOUT_S,
    )


def list_files() -> Tool:
    """`list_files{path?}`."""
    return SandboxTool(
        _info(
            "list_files",
            "List files",
            "List the files in the workspace, or in one folder of it, with their sizes.",
            parameters({"path": _FOLDER}),
            tags=("read",),
        ),
        "list_files",
        step_timeout_s=STEP_TIMEOUT_S,
        defaults={"path": "."},
    )


def delete_file() -> Tool:
    """`delete_file{path}`."""
    return SandboxTool(
        _info(
            "delete_file",
            "Delete a file",
            "Delete one file from the workspace. This cannot be undone.",
            parameters({"path": _PATH}, required=("path",)),
            tags=("write",),
            danger=Danger.CAUTION,
        ),
        "delete_file",
        step_timeout_s=STEP_TIMEOUT_S,
    )


def _info(
    name: str,
    title: str,
    description: str,
    schema: dict[str, object],
    *,
    tags: tuple[str, ...],
    danger: Danger = Danger.SAFE,
) -> ToolInfo:
    return ToolInfo(
        name=name,
        title=title,
        description=description,
        parameters=schema,
        category="files",
        tags=("workspace", *tags),
        danger=danger,
        timeout_s=STEP_TIMEOUT_S + OPENING_S,
        needs_sandbox=True,
    )
