"""Arithmetic as people and models write it: a small grammar of its own, evaluated while it is read.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/" | "//" | "%" | "of") signed)*
    signed  = ("+" | "-")* power
    power   = postfix (("^" | "**") signed)?           binds to the right, and tighter than a sign before it
    postfix = atom ("%" | "!")*                        a percent sign with no operand after it
    atom    = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")"

No Python is compiled or run. Time is bounded: the length of the text, the depth of brackets and the
size of every number are (see `exact`).
"""

import re
from fractions import Fraction

from app.tools.builtin.exact import (
    CalculationError,
    Number,
    divide,
    factorial,
    floor_divide,
    modulo,
    power,
    tidy,
)
from app.tools.builtin.functions import CONSTANTS, FUNCTIONS

MAX_CHARS = 1_000
MAX_DEPTH = 50
MAX_LITERAL_EXPONENT = 400

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign>\*\*|//|[-+*/%^(),!]))",
    re.ASCII,
)
_SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "π": " pi ", "√": " sqrt "})


def evaluate(expression: str) -> Number:
    """The value of an expression of at most 1,000 characters. Raises CalculationError."""
    if len(expression) > MAX_CHARS:
        raise CalculationError(f"the expression is longer than {MAX_CHARS} characters")
    try:
        return _Reader(_tokens(expression.translate(_SPELLINGS))).whole_text()
    except ArithmeticError:
        raise CalculationError("the number is too large") from None
    except ValueError as error:
        if isinstance(error, CalculationError):
            raise
        raise CalculationError("the function is not defined there") from None


def _tokens(expression: str) -> list[str]:
    tokens: list[str] = []
    position, end = 0, len(expression.rstrip())
    while position < end:
        found = _TOKEN.match(expression, position)
        if found is None:
            raise CalculationError(f"cannot read {expression[position:].strip()[:1]!r}")
        tokens.append(found[0].strip())
        position = found.end()
    if not tokens:
        raise CalculationError("the expression is empty")
    return tokens


def _literal(token: str) -> Number:
    mantissa, _, exponent = token.lower().replace("_", "").partition("e")
    if exponent and (len(exponent) > 5 or abs(int(exponent)) > MAX_LITERAL_EXPONENT):
        raise CalculationError(f"exponents of numbers may be at most {MAX_LITERAL_EXPONENT}")
    if not exponent and "." not in mantissa:
        return tidy(int(mantissa))
    before, _, after = mantissa.partition(".")
    scale = int(exponent or 0) - len(after)
    digits = int((before + after) or "0")
    return tidy(Fraction(digits * 10**scale) if scale >= 0 else Fraction(digits, 10**-scale))


class _Reader:
    """Reads tokens from left to right, keeping the value so far."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole_text(self) -> Number:
        value = self._sum()
        if (rest := self._peek()) is not None:
            raise CalculationError(f"did not expect {rest!r} there")
        return value

    def _peek(self, ahead: int = 0) -> str | None:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def _take(self) -> str:
        token = self._peek()
        if token is None:
            raise CalculationError("the expression is not complete")
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._peek() != token:
            raise CalculationError(f"{token!r} is missing")
        self._at += 1

    def _sum(self) -> Number:
        value = self._product()
        while (sign := self._peek()) in {"+", "-"}:
            self._take()
            right = self._product()
            value = tidy(value + right if sign == "+" else value - right)
        return value

    def _product(self) -> Number:
        value = self._signed()
        while (sign := self._peek()) in {"*", "/", "//", "%", "of"}:
            self._take()
            right = self._signed()
            if sign == "/":
                value = tidy(divide(value, right))
            elif sign == "//":
                value = tidy(floor_divide(value, right))
            elif sign == "%":
                value = tidy(modulo(value, right))
            else:
                value = tidy(value * right)
        return value

    def _signed(self) -> Number:
        negative = False
        while (sign := self._peek()) in {"+", "-"}:
            negative ^= sign == "-"
            self._take()
        value = self._power()
        return -value if negative else value

    def _power(self) -> Number:
        value = self._postfix()
        if self._peek() not in {"^", "**"}:
            return value
        self._take()
        self._deeper()
        exponent = self._signed()
        self._depth -= 1
        return tidy(power(value, exponent))

    def _postfix(self) -> Number:
        value = self._atom()
        while (sign := self._peek()) == "!" or (sign == "%" and self._is_percent()):
            self._take()
            value = tidy(factorial(value) if sign == "!" else divide(value, 100))
        return value

    def _is_percent(self) -> bool:
        """Whether the `%` here stands behind its number; `10 % 3` is a remainder."""
        after = self._peek(1)
        if after in {"+", "-"}:
            raise CalculationError("'%' before a sign is ambiguous: write mod(a, b), or (a%) for percent")
        return after is None or after == "of" or not (after[0].isalnum() or after[0] in "(.")

    def _atom(self) -> Number:
        token = self._take()
        if token == "(":  # noqa: S105 - a bracket, no secret
            self._deeper()
            value = self._sum()
            self._expect(")")
            self._depth -= 1
            return value
        if token[0].isdigit() or token[0] == ".":
            return _literal(token)
        if token[0].isalpha() and token != "of":  # noqa: S105
            return self._named(token)
        raise CalculationError(f"did not expect {token!r} there")

    def _named(self, name: str) -> Number:
        lower = name.lower()
        if lower in CONSTANTS:
            return CONSTANTS[lower]
        if lower not in FUNCTIONS:
            raise CalculationError(f"unknown name {name[:40]!r}; functions: {', '.join(sorted(FUNCTIONS))}")
        function, fewest, most = FUNCTIONS[lower]
        self._deeper()
        self._expect("(")
        values = [self._sum()]
        while self._peek() == ",":
            self._take()
            values.append(self._sum())
        self._expect(")")
        self._depth -= 1
        if not fewest <= len(values) <= most:
            count = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise CalculationError(f"{lower} takes {count} argument(s), not {len(values)}")
        return tidy(function(*values))

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CalculationError(f"brackets and powers are nested deeper than {MAX_DEPTH}")
