"""From arithmetic as people say it to an expression for the calculator; nothing is computed here.

`twenty plus two` becomes `20 + 2`, `the sum of 42 and 58` becomes `42 + 58`, `15% of 80` becomes
`15 * 80 / 100`. The expression is valid Python except for `!`; `IT` in it stands for the value
that "it" or "the result" means.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from app.models.interpreter.numerals import NUMERALS, number_at, scaled

IT = "\ue002"
MAX_CHARS = 1_000
"""What the calculator takes."""
MAX_DEPTH = 30

_TOKEN = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+(?![\w.]))?)"
    r"|(?P<word>[a-z]+(?:['’]s)?)|(?P<sign>\*\*|//|[-+*/^%()×·÷−–√!,])",
)
_SIGNS = {"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**"}
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")

_PHRASES: dict[str, str] = {
    # operators between two operands; the mark ":" says that they were words
    "plus": ":+", "added to": ":+", "minus": ":-", "less": ":-", "times": ":*", "multiplied by": ":*",
    "multiplied with": ":*", "x": ":*", "divided by": ":/", "over": ":/", "modulo": ":%", "mod": ":%",
    "to the power of": ":**", "raised to the power of": ":**", "to the power": ":**", "raised to": ":**",
    # before or after one operand
    "negative": "neg", "square root of": "sqrt", "square root": "sqrt", "cube root of": "cbrt",
    "root of": "sqrt", "absolute value of": "abs", "factorial of": "factorial", "half of": "half",
    "half": "half", "halve": "half", "twice": "double", "double": "double", "triple": "triple",
    "square of": "squared", "square": "squared", "cube of": "cubed", "cube": "cubed", "squared": "^2",
    "cubed": "^3", "percent": "%", "per cent": "%",
    # of several operands
    "sum of": "sum", "total of": "sum", "product of": "product", "difference between": "difference",
    "difference of": "difference", "quotient of": "quotient", "ratio of": "quotient", "average of": "mean",
    "mean of": "mean", "remainder of": "", "quotient": "quotient of what",
    # what was there before
    "it": IT, "that": IT, "this": IT, "result": IT, "answer": IT, "previous result": IT, "last result": IT,
    "that result": IT, "this result": IT, "that number": IT, "this number": IT, "that value": IT,
    "number": IT, "value": IT, "total": IT, "sum": IT, "product": IT, "its": "", "the": "",
}  # fmt: skip
_PHRASE_WORDS = {tuple(phrase.split()): sign for phrase, sign in _PHRASES.items()}
_LONGEST = max(len(words) for words in _PHRASE_WORDS)

_FUNCTIONS = frozenset(
    {
        "sqrt",
        "cbrt",
        "abs",
        "round",
        "floor",
        "ceil",
        "trunc",
        "min",
        "max",
        "gcd",
        "lcm",
        "pow",
        "factorial",
        "log",
        "ln",
        "log10",
        "log2",
        "exp",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "hypot",
    }
)
_PREFIXES = {
    "half": "{} / 2",
    "double": "2 * {}",
    "triple": "3 * {}",
    "squared": "{} ** 2",
    "cubed": "{} ** 3",
}
_LISTS = {"sum": "+", "product": "*", "difference": "-", "quotient": "/", "mean": "+"}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 4}
_NEGATION, _ATOM = 3, 5
_SPOKEN = frozenset({"add", "subtract", "multiply", "divide"})


class _Term(NamedTuple):
    """A piece of the expression and how tightly it holds together."""

    text: str
    precedence: int


class _No(Exception):  # noqa: N818 - never leaves this module
    """It is not arithmetic."""


def expression_of(phrase: str) -> str | None:
    """The phrase as an expression, None when it is no arithmetic. A bare number is one."""
    if len(phrase) > MAX_CHARS:
        return None
    try:
        expression = _Reader(_tokens(phrase.lower())).whole()
    except _No:
        return None
    return expression if len(expression) <= MAX_CHARS else None


def is_calculation(expression: str) -> bool:
    """Whether there is anything to compute in it."""
    return re.fullmatch(r"-?[\d.]+(?:e[+-]?\d+)?", expression) is None and expression != IT


def _tokens(phrase: str) -> list[str]:
    """Numbers as digits, signs as Python writes them, phrases as the table has them."""
    words = _words(_HYPHEN.sub(" ", phrase.rstrip(" =?")))
    tokens: list[str] = []
    position = 0
    is_list = False
    while position < len(words):
        word = words[position]
        is_list = is_list or word in {"sum", "product", "average", "mean", "add", "difference"}
        if word in NUMERALS or word == "a":
            found = number_at(words, position, and_joins=not is_list)
            if found is None:
                raise _No
            tokens.append(found[0])
            position = found[1]
        elif word[0].isdigit() or word[0] == ".":
            number = _plain(word)
            following = words[position + 1] if position + 1 < len(words) else ""
            big = scaled(number, following) if "e" not in number else None
            tokens.append(big or number)
            position += 2 if big else 1
        else:
            sign, length = _phrase_at(words, position)
            if sign:
                tokens.append(sign)
            position += length
    return tokens


def _words(phrase: str) -> list[str]:
    words: list[str] = []
    position = 0
    while position < len(phrase):
        if phrase[position].isspace():
            position += 1
            continue
        found = _TOKEN.match(phrase, position)
        if found is None or (found["number"] and phrase[found.end() : found.end() + 1] == "."):
            raise _No
        words.append(found[0])
        position = found.end()
    return words


def _phrase_at(words: Sequence[str], position: int) -> tuple[str, int]:
    for length in range(_LONGEST, 0, -1):
        sign = _PHRASE_WORDS.get(tuple(words[position : position + length]))
        if sign is not None and position + length <= len(words):
            return sign, length
    return _SIGNS.get(words[position], words[position]), 1


def _plain(number: str) -> str:
    """Without thousands separators and leading zeros, which Python would not read."""
    bare = number.replace(",", "").lstrip("0")
    return bare if bare[:1].isdigit() else f"0{bare}"


class _Reader:
    """Recursive descent; each method returns the term that begins at the position, or raises _No."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._only_signs = False

    def whole(self) -> str:
        """All of it."""
        first = self._peek()
        if first in _SPOKEN:
            self._at += 1
            left: _Term | None = self._spoken(first)
        elif first.startswith(":"):
            left = _Term(IT, _ATOM)
        elif first in {"sqrt", "cbrt", *_PREFIXES} and len(self._tokens) == 1:
            return self._prefixed(first, _Term(IT, _ATOM)).text
        else:
            left = None
        term = self._sum(1, left)
        if self._at < len(self._tokens):
            raise _No
        return term.text

    def _sum(self, lowest: int, left: _Term | None = None) -> _Term:
        """Precedence climbing: operators that bind at least as tightly as `lowest`."""
        term = left or self._signed()
        while True:
            if lowest == 1 and self._peek() == "," and self._peek(1).startswith(":"):
                self._at += 1
                term = _Term(term.text, 1)  # "2 plus 2, times 3": the comma closes what was said
            sign = self._peek()
            operator = sign.removeprefix(":")
            precedence = _PRECEDENCE.get(operator, 0)
            if precedence < lowest or (self._only_signs and sign.startswith(":")):
                return term
            self._at += 1
            right = self._signed() if operator == "**" else self._sum(precedence + 1)
            term = _joined(operator, term, right)

    def _signed(self) -> _Term:
        with_sign = self._peek()
        if with_sign in {"-", "neg", "+", ":-", ":+"}:
            self._at += 1
            self._deeper()
            term = self._signed()
            self._depth -= 1
            return term if with_sign.endswith("+") else _Term(f"-{_bracketed(term, _NEGATION)}", _NEGATION)
        term = self._postfixed(self._atom())
        if self._peek() in {"**", ":**"}:
            self._at += 1
            self._deeper()
            term = _joined("**", term, self._signed())
            self._depth -= 1
        return term

    def _postfixed(self, term: _Term) -> _Term:
        while True:
            match self._peek():
                case "^2" | "^3" as power:
                    term = _joined("**", term, _Term(power[1:], _ATOM))
                case "!":
                    term = _Term(f"{_bracketed(term, _ATOM)}!", _ATOM)
                case "%" if self._peek(1) == "of":
                    self._at += 2
                    return _joined("/", _joined("*", term, self._signed()), _Term("100", _ATOM))
                case "%" if not self._begins_operand(1):
                    term = _joined("/", term, _Term("100", _ATOM))
                case _:
                    return term
            self._at += 1

    def _atom(self) -> _Term:
        word = self._take()
        self._deeper()
        if word[0].isdigit() or word in {IT, "pi"}:
            term = _Term(word, _ATOM)
        elif word == "(":
            term = self._in_brackets()
        elif word in _LISTS:
            term = self._listed(word)
        elif word == "√" or word in _FUNCTIONS or word in _PREFIXES:
            term = self._applied("sqrt" if word == "√" else word)
        else:
            raise _No
        self._depth -= 1
        return term

    def _in_brackets(self) -> _Term:
        outer, self._only_signs = self._only_signs, False
        term = self._sum(1)
        self._only_signs = outer
        self._expect(")")
        return term

    def _applied(self, name: str) -> _Term:
        if self._peek() != "(" or name in _PREFIXES:
            if self._peek() == "of":
                self._at += 1
            return self._prefixed(name, self._signed())
        self._at += 1
        arguments = [self._sum(1)]
        while self._peek() == ",":
            self._at += 1
            arguments.append(self._sum(1))
        self._expect(")")
        return _Term(f"{name}({', '.join(argument.text for argument in arguments)})", _ATOM)

    def _prefixed(self, name: str, operand: _Term) -> _Term:
        shape = _PREFIXES.get(name)
        if shape is None:
            return _Term(f"{name}({operand.text})", _ATOM)
        first, operator, second = shape.split()
        terms = [operand if part == "{}" else _Term(part, _ATOM) for part in (first, second)]
        return _joined(operator, terms[0], terms[1])

    def _listed(self, kind: str) -> _Term:
        """`sum of A, B and C`: spoken operators after the last operand apply to the whole."""
        outer, self._only_signs = self._only_signs, True
        terms = [self._sum(1)]
        while self._peek() in {",", "and"} or (kind == "quotient" and self._peek() in {"to", "and"}):
            self._at += 2 if self._peek() == "," and self._peek(1) == "and" else 1
            terms.append(self._sum(1))
        self._only_signs = outer
        if len(terms) < 2 or (kind in {"difference", "quotient"} and len(terms) > 2):
            raise _No
        term = terms[0]
        for following in terms[1:]:
            term = _joined(_LISTS[kind], term, following)
        return _joined("/", term, _Term(str(len(terms)), _ATOM)) if kind == "mean" else term

    def _spoken(self, verb: str) -> _Term:
        """`multiply A by B`, `subtract A from B`; with one operand only, the other is IT."""
        it = _Term(IT, _ATOM)
        if verb in {"multiply", "divide"}:
            first = it if self._peek() in {"by", "with"} else self._sum(1)
            if self._peek() not in ({"by", "with", "and"} if verb == "multiply" else {"by"}):
                raise _No
            self._at += 1
            return _joined("*" if verb == "multiply" else "/", first, self._signed())
        first = self._sum(1) if verb == "subtract" else self._summands()
        if self._peek() == ("from" if verb == "subtract" else "to"):
            self._at += 1
            return _joined("-" if verb == "subtract" else "+", self._signed(), first)
        if verb == "subtract" or not self._summed:
            return _joined("-" if verb == "subtract" else "+", it, first)
        return first

    def _summands(self) -> _Term:
        """`A, B and C`, joined; remembers whether there was more than one."""
        term = self._sum(1)
        self._summed = False
        while self._peek() in {",", "and"}:
            self._at += 2 if self._peek() == "," and self._peek(1) == "and" else 1
            term = _joined("+", term, self._sum(1))
            self._summed = True
        return term

    _summed = False

    def _begins_operand(self, ahead: int) -> bool:
        token = self._peek(ahead)
        return token[:1].isdigit() or token in {"(", IT, "√", "pi"} or token in _FUNCTIONS

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _No

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise _No
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise _No


def _joined(operator: str, left: _Term, right: _Term) -> _Term:
    precedence = _PRECEDENCE[operator]
    before = _bracketed(left, precedence + (operator == "**"))
    after = _bracketed(right, precedence + (operator != "**"))
    return _Term(f"{before} {operator} {after}", precedence)


def _bracketed(term: _Term, lowest: int) -> str:
    return term.text if term.precedence >= lowest else f"({term.text})"
