"""Numbers written in words: `forty-two`, `one hundred and five`, `three point one four`, `5 million`."""

from collections.abc import Sequence
from decimal import Decimal

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

SMALL = {word: value for value, word in enumerate([*_ONES, *_TEENS])}
TENS = {word: 10 * (index + 2) for index, word in enumerate(_TENS)} | {"fourty": 40}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
NUMERALS = frozenset(SMALL) | frozenset(TENS) | frozenset(SCALES) | {"hundred"}


def number_at(words: Sequence[str], start: int, *, and_joins: bool) -> tuple[str, int] | None:
    """The number that begins at `start`, as digits, and where it ends; None if none does.

    `and_joins` allows "one hundred and five", which in a list of numbers would be two of them.
    """
    total, limit, position = 0, 10**15, start
    while True:
        begin = position
        if and_joins and position > start and _word(words, position) == "and":
            begin += 1
        found = _below_thousand(words, begin, and_joins=and_joins)
        if found is None:
            break
        scale = SCALES.get(_word(words, found[1]), 1)
        if scale >= limit:
            break
        total, limit = total + found[0] * scale, scale
        position = found[1] + (scale > 1)
        if scale == 1:
            break
    return _with_decimals(words, str(total), position) if position > start else None


def scaled(number: str, word: str) -> str | None:
    """`2.5` and `million`: 2500000; None if the word is no scale."""
    scale = 100 if word == "hundred" else SCALES.get(word)
    return None if scale is None else format((Decimal(number) * scale).normalize(), "f")


def _below_thousand(words: Sequence[str], start: int, *, and_joins: bool) -> tuple[int, int] | None:
    found = _below_hundred(words, start)
    if found is None and _word(words, start) == "a" and _word(words, start + 1) in {"hundred", *SCALES}:
        found = (1, start + 1)
    if found is None or _word(words, found[1]) != "hundred" or found[0] == 0:
        return found
    value, position = found[0] * 100, found[1] + 1
    joined = and_joins and _word(words, position) == "and"
    rest = _below_hundred(words, position + joined)
    return (value, position) if rest is None else (value + rest[0], rest[1])


def _below_hundred(words: Sequence[str], position: int) -> tuple[int, int] | None:
    word = _word(words, position)
    if word in SMALL:
        return SMALL[word], position + 1
    if word not in TENS:
        return None
    ones = SMALL.get(_word(words, position + 1), 0)
    return (TENS[word] + ones, position + 2) if 0 < ones < 10 else (TENS[word], position + 1)


def _with_decimals(words: Sequence[str], whole: str, position: int) -> tuple[str, int]:
    digits: list[str] = []
    if _word(words, position) == "point":
        while (digit := SMALL.get(_word(words, position + 1 + len(digits)), 10)) < 10:
            digits.append(str(digit))
    return (f"{whole}.{''.join(digits)}", position + 1 + len(digits)) if digits else (whole, position)


def _word(words: Sequence[str], position: int) -> str:
    return words[position] if position < len(words) else ""
