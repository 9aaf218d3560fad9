"""The calculator."""

import asyncio

from app.domain.errors import ToolFailedError
from app.domain.tools import ToolInfo, ToolResult
from app.tools.base import ToolContext
from app.tools.builtin.exact import CalculationError, written
from app.tools.builtin.expressions import MAX_CHARS, evaluate
from app.tools.builtin.schemas import parameters, text

INLINE_CHARS = 100
"""Up to this length an expression cannot take a millisecond; longer ones go to a thread."""

INFO = ToolInfo(
    name="calculator",
    title="Calculator",
    description=(
        "Evaluate an arithmetic expression and return the number. Whole numbers and decimals are exact "
        "(0.1 + 0.2 is 0.3). Operators: + - * / // % ^ (or **) ! and brackets; `10 % 3` is a remainder, "
        "`15% of 200` and `8 * 5%` are percentages. Functions: sqrt, cbrt, abs, round(x, places), floor, "
        "ceil, trunc, min, max, sum, mean, gcd, lcm, mod, pow, factorial, log(x, base), ln, log10, log2, "
        "exp, sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh, hypot, degrees, radians; angles "
        "in radians. Constants: pi, e, tau. No variables, no units, no thousands separators."
    ),
    parameters=parameters(
        {"expression": text("For example `(3 + 4) * 5 / 2`.", min_length=1, max_length=MAX_CHARS)},
        required=("expression",),
    ),
    category="math",
    tags=("arithmetic", "offline"),
    cache_ttl_s=3_600.0,
    timeout_s=5.0,
    returns={
        "type": "object",
        "properties": {"result": {"type": "string"}, "exact": {"type": "boolean"}},
        "required": ["result", "exact"],
    },
)


class Calculator:
    """`calculator{expression}`."""

    @property
    def info(self) -> ToolInfo:
        return INFO

    async def run(self, arguments: dict[str, object], context: ToolContext) -> ToolResult:
        """The number, or `ok=False` and why there is none."""
        del context
        expression = str(arguments["expression"])
        if len(expression) <= INLINE_CHARS:
            return calculate(expression)
        return await asyncio.to_thread(calculate, expression)


def calculate(expression: str) -> ToolResult:
    """Evaluate and write down."""
    try:
        result, exact = written(evaluate(expression))
    except CalculationError as error:
        return ToolResult(output=str(error), ok=False, error_reason=ToolFailedError.reason)
    return ToolResult(output=result, data={"result": result, "exact": exact})
