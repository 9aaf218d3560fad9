"""The names a calculator expression may use."""

import math
from collections.abc import Callable, Mapping

from app.tools.builtin.exact import (
    Number,
    divide,
    factorial,
    logarithm,
    modulo,
    power,
    round_half_away,
    sqrt,
    tidy,
    whole,
)


def _floating(function: Callable[..., float]) -> Callable[..., Number]:
    """A function of `math`, on floats."""

    def call(*values: Number) -> Number:
        return function(*(float(value) for value in values))

    return call


def _mean(*values: Number) -> Number:
    return divide(sum(values), len(values))


def _gcd(*values: Number) -> Number:
    return math.gcd(*(whole(value, "each number under gcd") for value in values))


def _lcm(*values: Number) -> Number:
    result = 1
    for value in values:
        result = math.lcm(result, whole(value, "each number under lcm"))
        tidy(result)
    return result


def _sum(*values: Number) -> Number:
    return sum(values)


def _absolute(value: Number) -> Number:
    return abs(value)


def _floor(value: Number) -> Number:
    return math.floor(value)


def _ceil(value: Number) -> Number:
    return math.ceil(value)


def _trunc(value: Number) -> Number:
    return math.trunc(value)


def _least(*values: Number) -> Number:
    return min(values)


def _greatest(*values: Number) -> Number:
    return max(values)


def _log10(value: Number) -> Number:
    return logarithm(value, 10)


def _log2(value: Number) -> Number:
    return logarithm(value, 2)


CONSTANTS: Mapping[str, Number] = {"pi": math.pi, "e": math.e, "tau": math.tau}

MANY = 100
FUNCTIONS: Mapping[str, tuple[Callable[..., Number], int, int]] = {
    "sqrt": (sqrt, 1, 1),
    "cbrt": (_floating(math.cbrt), 1, 1),
    "abs": (_absolute, 1, 1),
    "round": (round_half_away, 1, 2),
    "floor": (_floor, 1, 1),
    "ceil": (_ceil, 1, 1),
    "trunc": (_trunc, 1, 1),
    "min": (_least, 1, MANY),
    "max": (_greatest, 1, MANY),
    "sum": (_sum, 1, MANY),
    "mean": (_mean, 1, MANY),
    "avg": (_mean, 1, MANY),
    "gcd": (_gcd, 1, MANY),
    "lcm": (_lcm, 1, MANY),
    "mod": (modulo, 2, 2),
    "pow": (power, 2, 2),
    "factorial": (factorial, 1, 1),
    "log": (logarithm, 1, 2),
    "ln": (logarithm, 1, 1),
    "log10": (_log10, 1, 1),
    "log2": (_log2, 1, 1),
    "exp": (_floating(math.exp), 1, 1),
    "sin": (_floating(math.sin), 1, 1),
    "cos": (_floating(math.cos), 1, 1),
    "tan": (_floating(math.tan), 1, 1),
    "asin": (_floating(math.asin), 1, 1),
    "acos": (_floating(math.acos), 1, 1),
    "atan": (_floating(math.atan), 1, 1),
    "atan2": (_floating(math.atan2), 2, 2),
    "sinh": (_floating(math.sinh), 1, 1),
    "cosh": (_floating(math.cosh), 1, 1),
    "tanh": (_floating(math.tanh), 1, 1),
    "hypot": (_floating(math.hypot), 1, MANY),
    "degrees": (_floating(math.degrees), 1, 1),
    "radians": (_floating(math.radians), 1, 1),
}
"""Name -> what it does, fewest and most arguments."""
