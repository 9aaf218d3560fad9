"""The calculator: exact, and never slow."""

import math
import time
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.tools.builtin.calculator import Calculator, calculate
from app.tools.builtin.exact import MAX_BITS
from app.tools.builtin.expressions import MAX_CHARS
from tests.unit.tools.context import FakeContext


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("100 * 3", "300"),
        ("0.1 + 0.2", "0.3"),
        ("5 / 2", "2.5"),
        ("(3 + 4) * 5", "35"),
        ("1 + 1", "2"),
        ("1/3", "0.3333333333333333"),
        ("2/3", "0.6666666666666667"),
        ("10^20/3", "33333333333333333333.333333"),
        ("1/3*3", "1"),
        ("2^10", "1024"),
        ("2**3**2", "512"),
        ("-2^2", "-4"),
        ("2^-1", "0.5"),
        ("--3", "3"),
        ("(-1)^99999999999", "-1"),
        ("0^0", "1"),
        ("4^0.5", "2"),
        ("(9/4)^-1.5", "0.2962962962962963"),
        ("2^0.5", "1.414213562373095"),
        ("1.004167^360*250000", "1117069.56263371"),
        ("1.0000000001^10000000000", "2.718281828323131"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("10 % 3", "1"),
        ("-7 % 3", "2"),
        ("15% of 200", "30"),
        ("200 * 10%", "20"),
        ("50%", "0.5"),
        ("5!", "120"),
        ("100!/98!", "9900"),
        ("sqrt(144)", "12"),
        ("√(2.25)", "1.5"),
        ("sqrt(2)*sqrt(2)", "2"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(2.675, 2)", "2.68"),
        ("round(1234, -2)", "1200"),
        ("floor(-1.5) + ceil(1.2) + trunc(-1.9)", "-1"),
        ("min(3, 1, 2) + max(3, 1, 2)", "4"),
        ("mean(1, 2, 4.5)", "2.5"),
        ("abs(-3.5)", "3.5"),
        ("gcd(12, 18) + lcm(4, 6)", "18"),
        ("log(1000, 10) + log10(100) + log2(8)", "8"),
        ("ln(e)", "1"),
        ("sin(0) + cos(0)", "1"),
        ("PI", "3.141592653589793"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("1_000 + 1e3", "2000"),
        (".5 + 5.", "5.5"),
        ("12345678901234567890 * 98765432109876543210", "1219326311370217952237463801111263526900"),
        ("1e-30", "0.000000000000000000000000000001"),
    ],
)
def test_it_computes(expression: str, result: str) -> None:
    answer = calculate(expression)

    assert (answer.output, answer.ok) == (result, True)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("1/0", "division by zero"),
        ("1 // (2-2)", "division by zero"),
        ("1 % 0.0", "ambiguous|division by zero"),
        ("0^-1", "division by zero"),
        ("9**9**9", "too large"),
        ("2^5000", "too large"),
        ("(1/3)^5000", "too small"),
        ("1.5^(10^30)", "too large"),
        ("exp(1000)", "too large"),
        ("1e401", "exponents"),
        ("501!", "factorial"),
        ("sqrt(-1)", "not a real number"),
        ("(-8)^0.3", "not a real number"),
        ("log(0)", "positive"),
        ("asin(2)", "not defined"),
        ("10% - 3", "ambiguous"),
        ("", "empty"),
        ("(1", "missing"),
        ("1 +", "not complete"),
        ("2 2", "did not expect"),
        ("1,000", "did not expect"),
        ("foo(1)", "unknown name"),
        ("sqrt(1, 2)", "takes 1"),
        ("__import__('os')", "cannot read"),
        ("().__class__", "cannot read"),
        ("'a' * 9", "cannot read"),
        ("\ud800", "cannot read"),
        ("1" * (MAX_CHARS + 1), "longer"),
        ("(" * 60 + "1" + ")" * 60, "nested"),
        ("2^" * 60 + "1", "nested"),
    ],
)
def test_what_has_no_value_fails_and_says_why(expression: str, why: str) -> None:
    answer = calculate(expression)

    assert (answer.ok, answer.error_reason) == (False, "TOOL_FAILED")
    assert any(part in answer.output for part in why.split("|")), answer.output


async def test_the_tool_answers_short_and_long_expressions() -> None:
    context = FakeContext()

    short = await Calculator().run({"expression": "100*3"}, context)
    long = await Calculator().run({"expression": "+".join(["1"] * 400)}, context)

    assert (short.output, short.data) == ("300", {"result": "300", "exact": True})
    assert long.output == "400"


numbers = st.one_of(
    st.integers(0, 10**30).map(str),
    st.decimals(min_value=0, max_value=10**9, places=4).map(lambda value: f"{value:f}"),
)
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map(lambda text: f"(-{text})"),
    ),
    max_leaves=12,
)


def fraction_of(expression: str) -> Fraction:
    """The same by Python's own grammar, each literal a Fraction."""
    import re

    source = re.sub(r"\d+(?:\.\d+)?", lambda found: f"F('{found[0]}')", expression)
    return eval(source, {"F": Fraction})  # noqa: S307 - made of digits and signs above


@given(expressions)
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_exact_fractions(expression: str) -> None:
    answer = calculate(expression)

    try:
        expected = fraction_of(expression)
    except ZeroDivisionError:
        assert (answer.ok, answer.output) == (False, "division by zero")
        return
    assert answer.ok, answer.output
    assert isinstance(answer.data, dict)
    shown = Fraction(answer.output)
    if answer.data["exact"]:
        assert shown == expected
    else:
        assert abs(shown - expected) <= abs(expected) * Fraction(1, 10**15)


pieces = st.sampled_from(
    ["9", "99999", "1e400", "1.0000001", "0.5", "^", "**", "!", "%", "/", "//", "*", "+", "-", "(", ")", ",",
     "9^1290", "(7/3)^1400", "500!", "sqrt(", "round(", "lcm(", "gcd(", "log(", "pow(", "sum(", "tan(", "pi",
     " of ", "mod("]
)  # fmt: skip


@given(st.lists(pieces, min_size=1, max_size=200).map("".join))
@settings(max_examples=400, deadline=None)
@example("+".join(["(7/3)^1400"] * 90))
@example("+".join(["sqrt((7/3)^1400)"] * 58))
@example("+".join(["(3/7)^800"] * 99))
@example("+".join(["500!"] * 199))
@example("%".join(["(9^1290)"] * 110))
@example("-" * 999 + "1")
@example("9" * 1000)
@example("1/" + "7" * 998)
@example("0.5^" + "9" * 900)
@example("1.0000000001^18446744073709551615")
def test_nothing_takes_long(expression: str) -> None:
    started = time.thread_time()

    answer = calculate(expression[:MAX_CHARS])

    assert time.thread_time() - started < 0.05
    assert len(answer.output) < MAX_BITS


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_answered(expression: str) -> None:
    assert calculate(expression).output


def test_functions_agree_with_math() -> None:
    for name in ("sin", "cos", "tan", "exp", "sqrt", "cbrt", "atan", "sinh", "log10", "log2", "degrees"):
        shown = float(calculate(f"{name}(0.7)").output)

        assert shown == pytest.approx(getattr(math, name)(0.7), rel=1e-15), name
