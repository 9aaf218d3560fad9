"""A plan while it is being read: the calls so far, and what "it" means at this point."""

import posixpath
import re

from app.models.interpreter.arithmetic import IT, expression_of, is_calculation
from app.models.interpreter.clauses import Clause
from app.models.interpreter.plan import Call, Earlier, Observed, Part, Piece, Plan, Say, Text
from app.models.interpreter.refusals import not_understood

MAX_STEPS = 200
SHOWS_NOTHING = frozenset({"write_file", "delete_file", "wait"})
"""Tools whose output is a confirmation: "it" never means that."""

NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
_BARE_PATH = re.compile(r"[^\s\"'<>|?*,;:\ue000\ue001]{1,512}")
_PRONOUN = re.compile(
    r"(?:it|that|this|there|here|them|(?:its|the) contents?|(?:the|that|this) (?:same )?(?:file|document))",
    re.IGNORECASE,
)
_WITH_ENDING = re.compile(r"[^/]\.[A-Za-z0-9]{1,8}$|[^/]/[^/]|^\.{0,2}/.|^\.[A-Za-z]")
_NO_NAME = frozenset({"a", "an", "the", "file", "files", "disk", "all", "everything", "memory", "me", "my"})

_RESULT = re.compile(
    r"(?:it|that|this|them|those|(?:the |that |this |its |my |your |his |her )?(?:(?:last|previous|final|"
    r"computed|query|search|current) )?(?:result|answer|output|value|number|sum|product|total|difference|"
    r"average|quotient|response|reply|content|text|page|body|row|listing|list of files|name|date|time|"
    r"root)s?)",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    r"(?:(?:today['’]s|the current|current|the) )?(?P<what>date and time|date|time|timestamp)(?: of today| "
    r"today| now)?|(?P<today>today|now)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:the |a |this |that )?(?:following )?(?:text|words?|string|phrase|message|content|contents|sentence|"
    r"line|number|value|note)s?:? (?=\S)",
    re.IGNORECASE,
)
_CALCULATED = re.compile(
    r"(?:the (?:result|value|answer) of |(?:the )?(?=(?:sum|product|difference|average|mean|quotient|"
    r"(?:square|cube) root|total|double|half|square|cube|ratio) (?:of|between)\b))",
    re.IGNORECASE,
)
_CONTENT_OF = re.compile(r"(?:the )?(?:contents?|text) (?:of|in|from) (?P<rest>.+)", re.IGNORECASE)
_FILE_NOUN = re.compile(
    r"(?:the |a |an |my )?(?:(?:new|existing|text|output|empty) )*(?:file|document) (?:called |named "
    r")?(?=\S)",
    re.IGNORECASE,
)
_NOT_VERBATIM = frozenset({
    "a", "an", "the", "my", "your", "our", "their", "his", "her", "its", "some", "any", "all",
    "every", "each", "this", "that", "these", "those", "about", "of", "from", "for", "on", "with",
    "by", "how", "what", "why", "who", "which", "where", "when", "it", "me", "you", "us", "them",
    "summary", "summaries", "poem", "poems", "story", "essay", "letter", "email", "haiku", "joke",
    "song", "article", "report", "code", "script", "program", "function", "list", "table",
    "translation", "review", "plan", "recipe", "numbers", "primes", "something", "anything",
    "random", "result", "results", "answer", "output", "contents",
})  # fmt: skip
_HALF_QUOTED = re.compile('["“”„«»`\ue000]')
MAX_VERBATIM_WORDS = 8


class Draft:
    """Collects steps; each method either adds what it says or returns None and adds nothing."""

    def __init__(self, earlier: Earlier) -> None:
        self._steps: list[Call | Say] = []
        self._calls = 0
        self._value: Observed | str | None = earlier.value
        self._path = earlier.path
        self.speaks_of_a_file = earlier.path is not None
        self.clause = Clause(words="", literals=())

    def plan(self) -> Plan:
        """What was collected."""
        return Plan(steps=tuple(self._steps))

    def call(self, tool: str, *, part: Part = "text", **arguments: object) -> Text:
        """Add a call; the text is what it will show. Raises NotUnderstoodError when there are too many."""
        if len(self._steps) >= MAX_STEPS:
            raise not_understood(self.clause.told, f"more than {MAX_STEPS} steps")
        self._steps.append(Call(tool=tool, arguments=arguments, clause=self.clause.told))
        shown = Observed(call=self._calls, part=part)
        self._calls += 1
        if tool not in SHOWS_NOTHING:
            self._value = shown
            self.speaks_of_a_file = False
        if isinstance(path := arguments.get("path"), str) and tool in {"write_file", "read_file"}:
            self._path = path
            self.speaks_of_a_file = True
        return Text((shown,))

    def say(self, text: Text) -> None:
        """Add to the answer."""
        self._steps.append(Say(text=text, clause=self.clause.told))

    # --- what words stand for -----------------------------------------------------------------------

    def path(self, words: str, *, sure: bool = False) -> str | None:
        """The file that is meant; `sure` when the sentence leaves no doubt that the words are one."""
        words = words.strip()
        if (literal := self.clause.literal(words)) is not None:
            return literal.text if literal.kind in {"quoted", "fence"} and literal.text.strip() else None
        if _PRONOUN.fullmatch(words):
            return self._path
        named = _FILE_NOUN.match(words)
        if named is not None and (found := self.path(words[named.end() :], sure=True)) is not None:
            return found
        if not _BARE_PATH.fullmatch(words) or words.lower() in _NO_NAME:
            return None
        if not sure and expression_of(words) is not None:
            return None  # "what is 7/2"
        return words if sure or _WITH_ENDING.search(words) or words == self._path else None

    def folder(self, words: str) -> str | None:
        """A folder; it needs no ending."""
        return self.path(words.removesuffix(" folder").removesuffix(" directory"), sure=True)

    def url(self, words: str) -> str | None:
        """The URL the words are, in quotes or not."""
        literal = self.clause.literal(words)
        fits = literal is not None and re.match(r"https?://\S+$", literal.text, re.IGNORECASE)
        return literal.text if literal is not None and fits else None

    def quoted(self, words: str) -> str | None:
        """The text of the one literal the words are."""
        literal = self.clause.literal(words.strip())
        return None if literal is None else literal.text

    def means_a_file(self, words: str) -> bool:
        """Whether words that may be a file or something to say are a file here."""
        if (literal := self.clause.literal(words)) is not None:
            return _WITH_ENDING.search(literal.text) is not None
        return self.speaks_of_a_file or re.fullmatch(r"(?:it|that|this|them)", words, re.IGNORECASE) is None

    def result(self, part: Part = "text") -> Text:
        """What "it" means. Raises NotUnderstoodError when nothing was there before."""
        if self._value is None:
            raise not_understood(self.clause.told, "there is no result yet that it could mean")
        if isinstance(self._value, str):
            return Text((self._value,))
        if part != "text" and self._value.part == "text":
            return Text((Observed(call=self._value.call, part=part),))
        return Text((self._value,))

    def calculate(self, words: str, *, also_numbers: bool = True) -> Text | None:
        """Add the calculation the words are, if they are one."""
        literal = self.clause.literal(words)
        expression = expression_of(words if literal is None else literal.text)
        if expression is None or not (also_numbers or is_calculation(expression)):
            return None
        if expression == IT:
            return self.result()
        return self.call("calculator", expression=self._with_value(expression))

    def content(self, words: str) -> Text | None:
        """What is to be written or said: a quoted text, a result, the date, a calculation, plain words."""
        words = words.strip()
        if (literal := self.quoted(words)) is not None:
            return Text((literal,))
        if (label := _LABEL.match(words)) is not None:
            literal = self.quoted(words[label.end() :])
            return self._verbatim(words[label.end() :]) if literal is None else Text((literal,))
        if (moment := _MOMENT.fullmatch(words)) is not None:
            return self.moment((moment["what"] or moment["today"]).lower())
        if _RESULT.fullmatch(words):
            return self.result("body")
        if (inside := _CONTENT_OF.fullmatch(words)) is not None:
            path = self.path(inside["rest"])
            return None if path is None else self.call("read_file", path=path)
        if (calculated := _CALCULATED.match(words)) is not None:
            return self.calculate(words[calculated.end() :], also_numbers=False)
        return self._verbatim(words)

    def moment(self, what: str) -> Text:
        """Add a look at the clock."""
        part: Part = "date" if what in {"date", "today", "day"} else "time" if what == "time" else "text"
        return self.call("current_time", part=part)

    def _verbatim(self, words: str) -> Text | None:
        """A few plain words may be meant as they stand; a description of a text never is."""
        parts = words.split(" ")
        plain = words and _HALF_QUOTED.search(words) is None and len(parts) <= MAX_VERBATIM_WORDS
        if not plain or not _NOT_VERBATIM.isdisjoint(part.lower().strip(",.!?:") for part in parts):
            return None
        return Text((words,))

    def _with_value(self, expression: str) -> str | Text:
        if IT not in expression:
            return expression
        (value,) = self.result("number").pieces
        if isinstance(value, str) and not NUMBER.fullmatch(value.strip()):
            raise not_understood(self.clause.told, "the earlier result is not a number")
        pieces: list[Piece] = []
        for index, known in enumerate(expression.split(IT)):
            if index:
                pieces.append(in_expression(value) if isinstance(value, str) else value)
            pieces.append(known)
        return Text(tuple(piece for piece in pieces if piece != ""))


def in_expression(number: str) -> str:
    """A number so that it can stand anywhere in an expression."""
    number = number.strip()
    return f"({number})" if number.startswith(("-", "+")) else number


def same_path(path: str) -> str:
    """One spelling per file."""
    return posixpath.normpath(path)
