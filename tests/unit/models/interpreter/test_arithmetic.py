"""Arithmetic in words and signs: what the calculator is given means what was said."""

import math
import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.interpreter.arithmetic import IT, expression_of
from app.models.interpreter.numerals import number_at

ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(number: int, joint: str = " ") -> str:
    """English number words, American or (joint " and ") British."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    for scale, word in ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= scale:
            rest = number % scale
            gap = joint if rest < 100 else " "
            return f"{in_words(number // scale, joint)} {word}" + (
                f"{gap}{in_words(rest, joint)}" if rest else ""
            )
    raise AssertionError


@pytest.mark.parametrize(
    ("phrase", "expression"),
    [
        ("the sum of 1, 2 and 3", "1 + 2 + 3"),
        ("the product of 3, 4, and 5", "3 * 4 * 5"),
        ("the average of 1, 2 and 6", "(1 + 2 + 6) / 3"),
        ("the difference between 10 and 4", "10 - 4"),
        ("the sum of 2*3 and 4", "2 * 3 + 4"),
        ("the sum of 42 and 58 times 3", "(42 + 58) * 3"),
        ("subtract 3 from 10", "10 - 3"),
        ("divide ten by four", "10 / 4"),
        ("3 to the power of 4", "3 ** 4"),
        ("five squared", "5 ** 2"),
        ("half of 10", "10 / 2"),
        ("fifteen percent of eighty", "15 * 80 / 100"),
        ("10%", "10 / 100"),
        ("17 % 5", "17 % 5"),
        ("12x12", "12 * 12"),
        ("6 × 7 ÷ 2", "6 * 7 / 2"),
        ("1,000,000 + 007", "1000000 + 7"),
        ("2.5 million minus 1", "2500000 - 1"),
        ("three point one four times 2", "3.14 * 2"),
        ("5!", "5!"),
        ("max(1, 2) + sqrt(16)", "max(1, 2) + sqrt(16)"),
        ("square root of 81 plus 19", "sqrt(81) + 19"),
        ("multiply it by 3", f"{IT} * 3"),
        ("add 5", f"{IT} + 5"),
        ("times 2", f"{IT} * 2"),
        ("square it", f"{IT} ** 2"),
        ("the square root", f"sqrt({IT})"),
        ("the result plus 1", f"{IT} + 1"),
        ("2 + 2 =", "2 + 2"),
    ],
)
def test_a_phrase_becomes_an_expression(phrase: str, expression: str) -> None:
    assert expression_of(phrase) == expression


@pytest.mark.parametrize(
    "phrase",
    [
        "", "hello", "two three", "2(3+4)", "1.2.3", "2 +", "(2", "2)", "sum of 2", "import os", "2 ; 3", "x",
        "__import__('os')", "(" * 80 + "1" + ")" * 80, "-" * 500 + "1", "1" * 1_001,
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_none(phrase: str) -> None:
    assert expression_of(phrase) is None


NUMBERS = st.integers(0, 999) | st.decimals(0, 999, places=2).map(str)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """An expression as a person may type it, which Python reads too."""
    if depth == 0 or draw(st.booleans()):
        return str(draw(NUMBERS))
    gap = draw(st.sampled_from(["", " "]))
    left, right = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    inner = f"{left}{gap}{draw(st.sampled_from(['+', '-', '*', '/']))}{gap}{right}"
    return draw(st.sampled_from([inner, f"({inner})", f"-({inner})"]))


def value_of(expression: str) -> Fraction | None:
    """Python's own reading of it, exactly; None for a division by nothing."""
    exact = re.sub(r"\d+(?:\.\d+)?", lambda number: f"Fraction('{number[0]}')", expression)
    try:
        return eval(exact, {"Fraction": Fraction})  # noqa: S307 - of our own making
    except ZeroDivisionError:
        return None


@given(expressions())
@settings(max_examples=250, deadline=None)
def test_signs_mean_what_they_mean_in_python(text: str) -> None:
    read = expression_of(text)

    assert read is not None
    assert value_of(read) == value_of(text)


@given(st.integers(0, 10**12 - 1), st.booleans())
@settings(max_examples=250, deadline=None)
def test_numbers_in_words_are_read(number: int, british: bool) -> None:
    words = in_words(number, " and " if british else " ").replace("-", " ").split()

    assert number_at(words, 0, and_joins=True) == (str(number), len(words))


OPERATORS = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "over": "/"}


@given(
    st.lists(st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(1, 99_999)), min_size=1, max_size=6),
    st.integers(0, 99_999),
)
@settings(max_examples=300, deadline=None)
def test_operators_in_words_mean_what_the_signs_mean(rest: list[tuple[str, int]], first: int) -> None:
    spoken = in_words(first) + "".join(f" {word} {in_words(number)}" for word, number in rest)
    signs = str(first) + "".join(f" {OPERATORS[word]} {number}" for word, number in rest)

    read = expression_of(spoken)

    assert read is not None
    assert value_of(read) == value_of(signs)


@given(st.lists(st.integers(0, 9_999), min_size=2, max_size=6))
@settings(max_examples=200, deadline=None)
def test_sums_and_products_of_lists(numbers: list[int]) -> None:
    listed = ", ".join(in_words(number) for number in numbers[:-1]) + f" and {in_words(numbers[-1])}"

    total, product = expression_of(f"the sum of {listed}"), expression_of(f"the product of {listed}")

    assert value_of(total or "") == sum(numbers)
    assert value_of(product or "") == math.prod(numbers)
