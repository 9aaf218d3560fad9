"""Action scripts: `[{"tool": "calculator", "arguments": {...}}]` as JSON or YAML, run as they stand."""

import json
import re
from typing import Any, cast

import yaml

from app.models.interpreter.plan import Call, Plan
from app.models.interpreter.refusals import not_understood, shown

MAX_ACTIONS = 200
MAX_YAML_CHARS = 32_000
MAX_TOOL_NAME_CHARS = 200
_FENCED = re.compile(r"```(?:json|yaml|yml)?[ \t]*\r?\n(?P<inside>.*?)\r?\n?```", re.DOTALL | re.IGNORECASE)
_YAML_BEGINS = re.compile(r"(?:---\s+)?(?:- +[\"']?tool[\"']?\s*:|actions\s*:\s*\n|tool\s*:)")
_WRONG = "not a valid action script"


def plan_of_script(instruction: str) -> Plan | None:
    """The script the text is; None when it is none. Raises NotUnderstoodError when it is a broken one."""
    text = instruction.strip()
    if text.startswith("```") and text.endswith("```") and (fenced := _FENCED.fullmatch(text)) is not None:
        text = fenced["inside"].strip()
    if text.startswith(("[", "{")):
        loaded = _json(text)
    elif _YAML_BEGINS.match(text):
        loaded = _yaml(text)
    else:
        return None
    if loaded is None:
        return None
    actions = _actions(loaded)
    if actions is None:
        raise _broken(text, "expected a list of actions, each with `tool` and `arguments`")
    if len(actions) > MAX_ACTIONS:
        raise _broken(text, f"more than {MAX_ACTIONS} actions")
    return Plan(steps=tuple(_call(index, action) for index, action in enumerate(actions)))


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _broken(text, "nested too deeply") from None
    except ValueError as error:
        if '"tool"' not in text:
            return None  # English that begins with a bracket
        where = (
            f" at line {error.lineno} column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise _broken(text, f"not JSON{where}") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


class _Loader(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if cast("Any", self).check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return cast("Any", super()).compose_node(parent, index)


def _yaml(text: str) -> object:
    if len(text) > MAX_YAML_CHARS:
        raise _broken(text, f"YAML scripts may have {MAX_YAML_CHARS} characters; use JSON")
    try:
        loaded = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a SafeLoader
        json.dumps(loaded, allow_nan=False)  # dates, sets, binary and other things no tool takes
    except RecursionError:
        raise _broken(text, "nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        where = f" at line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _broken(text, f"not YAML{where}") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise _broken(text, f"not plain YAML: {shown(str(error), 80)}") from None
    return loaded


def _actions(loaded: object) -> list[object] | None:
    if isinstance(loaded, dict):
        table = cast("dict[object, object]", loaded)
        if "tool" in table:
            return [table]
        loaded = table.get("actions")
    return cast("list[object]", loaded) if isinstance(loaded, list) and loaded else None


def _call(index: int, action: object) -> Call:
    told = f"action {index + 1}"
    if not isinstance(action, dict):
        raise not_understood(told, f"{_WRONG}: it must be an object with `tool` and `arguments`")
    table = cast("dict[object, object]", action)
    tool, arguments = table.get("tool"), table.get("arguments", {})
    if not isinstance(tool, str) or not 0 < len(tool) <= MAX_TOOL_NAME_CHARS:
        raise not_understood(told, f"{_WRONG}: `tool` must be the name of a tool")
    if unknown := {str(key) for key in table} - {"tool", "arguments"}:
        raise not_understood(told, f"{_WRONG}: unknown member {shown(min(unknown), 40)!r}")
    if not isinstance(arguments, dict) or not all(
        isinstance(name, str) for name in cast("dict[object, object]", arguments)
    ):
        raise not_understood(f"{told}: {tool}", f"{_WRONG}: `arguments` must be an object")
    return Call(tool=tool, arguments=cast("dict[str, object]", arguments), clause=f"{told}: {tool}")


def _broken(text: str, why: str) -> Exception:
    return not_understood(shown(text, 80), f"{_WRONG}: {why}")
