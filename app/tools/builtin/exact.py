"""Numbers of the calculator: whole and rational ones exact, the rest floats, all of bounded size."""

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

Number = int | Fraction | float

MAX_BITS = 4_096
"""Of a numerator or denominator: about 1,200 digits. Keeps every operation below 0.1 ms."""
MAX_FACTORIAL = 500
MAX_PLACES = 40
"""Digits behind the point up to which a terminating fraction is written out in full."""
SHOWN_DIGITS = 16
"""Significant digits of what is not written in full: the noise of float arithmetic is behind them."""


class CalculationError(ValueError):
    """The expression has no value; the message says why."""


def tidy(value: Number) -> Number:
    """The same value in its simplest form. Raises CalculationError when it is too large to go on with."""
    if isinstance(value, Fraction):
        if value.denominator == 1:
            value = value.numerator
        elif max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            value = _approximate(value)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise CalculationError(f"the number is too large (more than about {MAX_BITS * 3 // 10} digits)")
    if isinstance(value, float) and not math.isfinite(value):
        raise CalculationError("the number is too large")
    return value


def _approximate(value: Fraction) -> float:
    """For a fraction with more digits than are worth keeping."""
    nearest = float(value)
    if nearest == 0:
        raise CalculationError("the number is too small")
    return nearest


def divide(left: Number, right: Number) -> Number:
    """`left / right`, exact if both are."""
    if right == 0:
        raise CalculationError("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        return Fraction(left, right)
    return left / right


def floor_divide(left: Number, right: Number) -> Number:
    """`left // right`: rounds down."""
    if right == 0:
        raise CalculationError("division by zero")
    return left // right


def modulo(left: Number, right: Number) -> Number:
    """What is left after `floor_divide`; has the sign of `right`."""
    if right == 0:
        raise CalculationError("division by zero")
    return left % right


def power(base: Number, exponent: Number) -> Number:
    """`base ** exponent`; refuses at once what would be too large."""
    if base == 0 and exponent < 0:
        raise CalculationError("division by zero (zero to a negative power)")
    if isinstance(exponent, int) and not isinstance(base, float):
        return _whole_power(base, exponent)
    if isinstance(exponent, Fraction) and exponent.denominator == 2 and not isinstance(base, float):
        root = sqrt(base)
        if not isinstance(root, float):
            return _whole_power(root, exponent.numerator)
    if base < 0 and exponent != math.floor(exponent):
        raise CalculationError("a negative number to a fractional power is not a real number")
    return float(base) ** float(exponent)


def _whole_power(base: int | Fraction, exponent: int) -> Number:
    exact = Fraction(base)
    if abs(exact) in {0, 1}:
        return exact ** (exponent if exponent == 0 else 2 - exponent % 2)
    bits = max(exact.numerator.bit_length(), exact.denominator.bit_length())
    # A number of b bits is at least 2**(b-1): only what is certainly too large is not tried.
    if (bits - 1) * abs(exponent) <= MAX_BITS:
        return exact**exponent
    if isinstance(base, int):
        raise CalculationError("the power is too large")
    if exponent.bit_length() > 64:
        raise CalculationError("the exponent is too large")
    # Not by floats: their error grows with the exponent (1.0000000001^10000000000).
    context = Context(prec=60)
    digits = context.divide(Decimal(exact.numerator), Decimal(exact.denominator))
    nearest = float(context.power(digits, exponent))
    if nearest == 0:
        raise CalculationError("the number is too small")
    return nearest


def sqrt(value: Number) -> Number:
    """The square root, exact where it is rational."""
    if value < 0:
        raise CalculationError("the square root of a negative number is not a real number")
    if isinstance(value, float):
        return math.sqrt(value)
    exact = Fraction(value)
    above, below = math.isqrt(exact.numerator), math.isqrt(exact.denominator)
    if above * above == exact.numerator and below * below == exact.denominator:
        return Fraction(above, below)
    return math.sqrt(exact)


def round_half_away(value: Number, places: Number = 0) -> Number:
    """Round to `places` digits behind the point, halves away from zero: `round(2.5)` is 3."""
    count = whole(places, "the number of places")
    if abs(count) > MAX_PLACES:
        raise CalculationError(f"the number of places must be between -{MAX_PLACES} and {MAX_PLACES}")
    scale = Fraction(10) ** count
    # What a float shows is what is rounded: 2.675 as a person reads it, not as binary stores it.
    scaled = Fraction(repr(value) if isinstance(value, float) else value) * scale
    rounded = math.floor(abs(scaled) + Fraction(1, 2))
    return Fraction(rounded if scaled >= 0 else -rounded) / scale


def logarithm(value: Number, base: Number | None = None) -> Number:
    """Natural, or to a base; exact for whole powers of a whole base (`log(1000, 10)` is 3)."""
    if value <= 0 or (base is not None and (base <= 0 or base == 1)):
        raise CalculationError("logarithms need a positive number, and a positive base other than 1")
    if base is None:
        return _ln(value)
    result = _ln(value) / _ln(base)
    nearest = round(result)
    if isinstance(value, int) and isinstance(base, int) and 0 <= nearest <= MAX_BITS:
        return nearest if base**nearest == value else result
    return result


def _ln(value: Number) -> float:
    if isinstance(value, Fraction):
        return math.log(value.numerator) - math.log(value.denominator)
    return math.log(value)


def whole(value: Number, what: str) -> int:
    """The value as an int. Raises CalculationError unless it is a whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return value
    raise CalculationError(f"{what} must be a whole number")


def factorial(value: Number) -> Number:
    """`1 * 2 * ... * value`, up to 500."""
    count = whole(value, "the number under a factorial")
    if not 0 <= count <= MAX_FACTORIAL:
        raise CalculationError(f"factorial takes numbers from 0 to {MAX_FACTORIAL}")
    return math.factorial(count)


def written(value: Number) -> tuple[str, bool]:
    """The number as plain text, and whether that text is its exact value."""
    if isinstance(value, int):
        return str(value), True
    if isinstance(value, float):
        return _plain(Decimal(format(value, f".{SHOWN_DIGITS}g"))), False
    places = _places(value.denominator)
    if places is not None and places <= MAX_PLACES:
        digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        sign = "-" if value < 0 else ""
        return f"{sign}{digits[:-places]}.{digits[-places:]}", True
    # Enough digits that whole numbers are shown whole.
    before_point = len(str(abs(value.numerator) // value.denominator))
    context = Context(prec=max(SHOWN_DIGITS, before_point + 6), rounding=ROUND_HALF_EVEN)
    return _plain(context.divide(Decimal(value.numerator), Decimal(value.denominator))), False


def _places(denominator: int) -> int | None:
    """Digits behind the point of 1/denominator, None if they never end."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while fives <= MAX_PLACES and rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def _plain(value: Decimal) -> str:
    """Without a needless exponent or trailing zeros."""
    if value == 0:
        return "0"
    value = value.normalize(Context(prec=2_000))
    return f"{value:f}" if -10 <= value.adjusted() <= 20 or value == value.to_integral() else f"{value:e}"
