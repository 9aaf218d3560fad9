"""Cutting an instruction into clauses, without ever cutting what is quoted.

Quotes, code fences, URLs and code after a colon are taken out first and stand in the text as marks
(two private-use characters around a number); a user's own private-use characters become U+FFFD.
Everything here is linear in the length of the text.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal as OneOf

from app.models.interpreter.refusals import not_understood, shown

MAX_CLAUSES = 100
MAX_CLAUSE_CHARS = 2_000

MARK = re.compile("\ue000([0-9]+)\ue001")
_OWN_MARKS = str.maketrans(dict.fromkeys("\ue000\ue001\ue002", "�"))

Kind = OneOf["quoted", "fence", "url", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """A stretch of the instruction that is data. `raw` is how it was written, quotes and all."""

    text: str
    raw: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One thing to do: `words` with marks for the literals, single spaces, no filler words."""

    words: str
    literals: tuple[Literal, ...]

    def literal(self, mark: str) -> Literal | None:
        """The literal, if `mark` is exactly one mark."""
        found = MARK.fullmatch(mark)
        return self.literals[int(found[1])] if found else None

    def unmasked(self, words: str) -> str:
        """The words with their literals as they were written."""
        return MARK.sub(lambda mark: self.literals[int(mark[1])].raw, words)

    @property
    def told(self) -> str:
        """The clause as the user wrote it, for messages."""
        return self.unmasked(self.words)


VERBS = (
    r"compute|calculate|evaluate|work out|what(?:['’]s| is| are| does| time| day)|how much|save|write|store|"
    r"put|append|add|create|make|read|show|print|display|tell|list|delete|remove|erase|run|execute|query|"
    r"fetch|get|download|search|look up|google|ask|wait|sleep|pause|say|reply|answer|respond|multiply|"
    r"divide|subtract|double|triple|halve|square|cube|take|copy|check|verify|open|click|press|type|close|"
    r"launch|go to|scroll|email|e-mail|send|summari[sz]e|translate|find|echo|record|raise"
)
_SOFT = r"(?:please|also|finally|now|next|first|afterwards|lastly)"
_VERB_AHEAD = rf"(?=(?:{_SOFT},? )*(?:{VERBS})\b)"

_SEPARATOR = re.compile(
    rf"[;\n]|[.!?]+(?= |$)|,? (?:and )?(?:then|afterwards|after that)\b,?(?= )|,? and (?:{_SOFT},? )+|,? "
    rf"(?:and|but) {_VERB_AHEAD}|, {_VERB_AHEAD}",
    re.IGNORECASE,
)
_LINE_MARKER = re.compile(r"(?m)^[ ]*(?:\(?\d{1,3}[.)][ ]|[-*•–][ ]|step \d{1,3}[ ]?[:.][ ])", re.IGNORECASE)
_INLINE_MARKER = re.compile(r"(?<=[^-+*/^(=×÷ ] )(\d{1,3})[.)] (?=[A-Za-z\ue000])")
_LEADING = re.compile(
    r"(?:please|kindly|can you|could you|would you|will you|i want you to|i need you to|i would like you to|"
    r"i['’]d like you to|let['’]s|let us|first|firstly|second|secondly|third|thirdly|now|then|next|finally|"
    r"lastly|after that|afterwards|also|and|so|ok|okay|hey|just|go ahead and|use the calculator(?: tool)? "
    r"to|to do:|task:|instruction:)(?:,? |,?$)",
    re.IGNORECASE,
)
_TRAILING = re.compile(r",? (?:please|for me|now|as well|too|thanks|thank you)$", re.IGNORECASE)
_GREETING = re.compile(
    r"(?:hello|hi|hey|hello there|thanks|thank you|good (?:morning|day|evening))", re.IGNORECASE
)
_HEADING = re.compile(
    r"[^\ue000]{0,60}\b(?:following|steps|tasks|instructions|plan|to-?do|list)\b[^\ue000]{0,30}:",
    re.IGNORECASE,
)


def clauses_of(instruction: str) -> list[Clause]:
    """The clauses in order. Raises NotUnderstoodError when one is endless or there are too many."""
    masked, literals = _masked(instruction)
    lines = re.sub(r"[^\S\n]+", " ", masked.replace("\r\n", "\n").replace("\r", "\n"))
    lines = re.sub(r":[ ]?\n\s*(?=\ue000)", ": ", lines)  # the code under "run this:"
    clauses: list[Clause] = []
    for words in _SEPARATOR.split(_without_markers(lines)):
        bare = _bare(words)
        if not bare or _GREETING.fullmatch(bare) or _HEADING.fullmatch(bare):
            continue
        clause = Clause(words=bare, literals=literals)
        if len(bare) > MAX_CLAUSE_CHARS:
            raise not_understood(clause.told, f"a clause of more than {MAX_CLAUSE_CHARS} characters")
        clauses.append(clause)
        if len(clauses) > MAX_CLAUSES:
            raise not_understood(shown(instruction), f"more than {MAX_CLAUSES} steps")
    return clauses


def _bare(words: str) -> str:
    """Without politeness, order words and punctuation around it."""
    start, end = 0, len(words)
    while start < end and (words[start].isspace() or words[start] == ","):
        start += 1
    while (found := _LEADING.match(words, start, end)) is not None:
        start = found.end()
    bare = words[start:end].strip().rstrip(".!?, ")
    end = len(bare)
    while (found := _TRAILING.search(bare, max(0, end - 16), end)) is not None:
        end = found.start()
    return bare[:end]


def _without_markers(lines: str) -> str:
    """List markers become line breaks; inside a line only when they count on from 1."""
    if re.match(r"\s*\(?1[.)] ", lines) is None:
        return _LINE_MARKER.sub("\n", lines)
    wanted = 2
    pieces: list[str] = []
    start = 0
    for found in _INLINE_MARKER.finditer(lines):
        if int(found[1]) == wanted:
            pieces.append(lines[start : found.start()])
            start, wanted = found.end(), wanted + 1
    pieces.append(lines[start:])
    return _LINE_MARKER.sub("\n", "\n".join(pieces))


# --- literals ----------------------------------------------------------------------------------------

_OPENER = re.compile(
    r"```|[`\"“„«‘']|https?://|(?P<sql>:[ \t]*(?=(?:select|insert|update|delete|create|drop|alter|with|"
    r"pragma|replace)\b))|(?P<python>\bpython(?: code| script| program| snippet)?[ \t]*:[ "
    r"\t]*(?=[^\s`\"“'‘]))",
    re.IGNORECASE,
)
_URL = re.compile(r"https?://[^\s\"'<>“”«»`\ue000-\ue002]+", re.IGNORECASE)
_LANGUAGE = (
    r"(?:python3?|py|sql|sqlite|json|ya?ml|te?xt|plain|md|markdown|csv|html|css|js|javascript|sh|bash|xml|"
    r"toml|ini)"
)
_FENCE_LANGUAGE = re.compile(rf"{_LANGUAGE}?[ \t]*\r?\n|{_LANGUAGE}[ \t]+", re.IGNORECASE)
_GO_ON = r",? (?:and )?then\b|,?(?: and|,) (?:save|write|store|append|put|tell|show|read)\b"
_SQL = re.compile(rf"(?:'[^'\n]*'|\"[^\"\n]*\"|(?!{_GO_ON}|[;\n]|\.(?:\s|$)).)*", re.IGNORECASE)
_PYTHON = re.compile(rf"(?:'[^'\n]*'|\"[^\"\n]*\"|(?!{_GO_ON}|\n).)*", re.IGNORECASE)
_CLOSERS = {"`": "`", '"': '"', "“": "”", "„": "“”", "«": "»"}
_SINGLE = {"'": re.compile(r"'(?!\w)"), "‘": re.compile(r"’(?!\w)")}


def _masked(text: str) -> tuple[str, tuple[Literal, ...]]:
    """The text with marks, and what they stand for."""
    literals: list[Literal] = []
    pieces: list[str] = []
    quotes = _Quotes(text)
    position = 0
    while (opener := _OPENER.search(text, position)) is not None:
        kept_to, found = _literal(text, opener, quotes)
        pieces.append(text[position:kept_to].translate(_OWN_MARKS))
        position = kept_to
        if found is not None:
            pieces.append(f"\ue000{len(literals)}\ue001")
            literals.append(found)
            position += len(found.raw)
    pieces.append(text[position:].translate(_OWN_MARKS))
    return "".join(pieces), tuple(literals)


def _literal(text: str, opener: re.Match[str], quotes: "_Quotes") -> tuple[int, Literal | None]:
    """Where the plain text ends, and the literal that begins there, if one does."""
    start, sign = opener.start(), opener[0]
    if sign == "```":
        end = quotes.end_of_fence(start + 3)
        if end is None:
            return opener.end(), None
        language = _FENCE_LANGUAGE.match(text, start + 3, end)
        body = text[language.end() if language else start + 3 : end]
        body = body[:-2] if body.endswith("\r\n") else body.removesuffix("\n")
        return start, Literal(text=body, raw=text[start : end + 3], kind="fence")
    if sign[:4].lower() == "http":
        found = _URL.match(text, start)
        if found is None:
            return opener.end(), None
        url = found[0].rstrip(".,;:!?)]}")
        return start, Literal(text=url, raw=url, kind="url")
    if opener["sql"] is not None or opener["python"] is not None:
        code = (_SQL if opener["sql"] is not None else _PYTHON).match(text, opener.end())
        raw = code[0].rstrip() if code else ""
        return opener.end(), Literal(text=raw, raw=raw, kind="code") if raw else None
    end = quotes.end_of(sign, start)
    if end is None:
        return opener.end(), None
    return start, Literal(text=text[start + 1 : end], raw=text[start : end + 1], kind="quoted")


class _Quotes:
    """Finds closing quotes; remembers where the next one is, so that no stretch is searched twice."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next: dict[str, int] = {}
        self._singles: dict[str, list[int]] = {}

    def end_of_fence(self, start: int) -> int | None:
        return self._find("```", start)

    def end_of(self, sign: str, start: int) -> int | None:
        """Where the quote that opens at `start` closes. A single quote must not be an apostrophe."""
        if sign not in _SINGLE:
            ends = [end for closer in _CLOSERS[sign] if (end := self._find(closer, start + 1)) is not None]
            return min(ends, default=None)
        if start > 0 and not (self._text[start - 1].isspace() or self._text[start - 1] in "([:=,"):
            return None
        if sign not in self._singles:
            self._singles[sign] = [found.start() for found in _SINGLE[sign].finditer(self._text)]
        ends = self._singles[sign]
        index = bisect_left(ends, start + 1)
        return ends[index] if index < len(ends) else None

    def _find(self, closer: str, start: int) -> int | None:
        known = self._next.get(closer)
        if known is None or 0 <= known < start:
            known = self._next[closer] = self._text.find(closer, start)
        return known if known >= 0 else None
