"""Arguments of a call against the tool's JSON Schema, and what to tell the caller about them."""

from collections.abc import Iterator

import jsonschema_rs
import orjson
from jsonschema_rs import ValidationErrorKind as Wrong

from app.domain.errors import FieldViolation, InvalidRequestError
from app.domain.tools import ToolInfo

MAX_VIOLATIONS = 20
MAX_DESCRIPTION = 300


class ArgumentCheck:
    """One tool's schema, compiled once."""

    def __init__(self, info: ToolInfo) -> None:
        """Raises ValueError when `info.parameters` is not a JSON Schema."""
        # The mask keeps values out of messages: they may be long, and they may be secrets.
        self._validator = jsonschema_rs.Draft202012Validator(info.parameters, mask="the value")
        self._name = info.name

    def __call__(self, arguments: dict[str, object]) -> None:
        """Raises InvalidRequestError whose violations name the fields as `arguments.x`."""
        try:
            orjson.dumps(arguments)  # refuses what JSON cannot say: half a surrogate pair, or depths
            if self._validator.is_valid(arguments):
                return
            found = [item for error in self._validator.iter_errors(arguments) for item in _violations(error)]
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise InvalidRequestError.of("arguments", "not JSON that can be checked") from None
        first = found[0] if found else FieldViolation(field="arguments", description="not valid")
        raise InvalidRequestError(
            f"wrong arguments for {self._name}: {first.field}: {first.description}",
            violations=found[:MAX_VIOLATIONS] or (first,),
        )


def _violations(error: jsonschema_rs.ValidationError) -> Iterator[FieldViolation]:
    path = ".".join(["arguments", *(str(part) for part in error.instance_path)])
    match error.kind:
        case Wrong.Required(property=missing):
            yield FieldViolation(field=f"{path}.{missing}", description="is required", reason="REQUIRED")
        case Wrong.AdditionalProperties(unexpected=names):
            for name in names[:MAX_VIOLATIONS]:
                yield FieldViolation(
                    field=f"{path}.{name[:100]}",
                    description="is not an argument of this tool",
                    reason="UNKNOWN_FIELD",
                )
        case _:
            yield FieldViolation(field=path, description=error.message[:MAX_DESCRIPTION])
