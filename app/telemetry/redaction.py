"""Takes secrets out of texts: known ones wherever they stand, others by their shape or their name.

Nearly every text has none, so each net first asks whether a word of it is there at all: a line without any
costs a few microseconds.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.telemetry.known_secrets import MASK, mask_held_in_json, mask_known

_NAMES = (
    r"(?:proxy-)?authorization|(?:x-)?api[-_]?key|(?:set-)?cookie|passw(?:or)?d|secret|"
    r"(?:secret[-_]?)?access[-_]?key(?:[-_]?id)?|"
    r"(?:access|refresh|auth|bearer|id|session)[-_]?token|token|ticket|private[-_]?key|credentials?"
)
_KEYED = re.compile(
    # a name, also as the end of one (OPENAI_API_KEY); `:`, `=` or a tuple's comma; the value
    rf"(?P<name>(?:{_NAMES})[\"']?\s*(?:[:=]|,(?=\s*b?[\"']))\s*)"
    r"(?P<scheme>b?[\"']?(?:(?:bearer|basic|token|apikey)\s+)?)"
    # what stands in quotation marks is whole; else the value is a word
    r"(?P<value>(?<=\")[^\"\r\n]+|(?<=')[^'\r\n]+|[^\s\"',;&)}\]]+)",
    re.IGNORECASE,
)
_COOKIES = re.compile(r"(?P<name>cookie[\"']?\s*[:=,]\s*b?[\"']?)[^\r\n\"']+", re.IGNORECASE)
_PEM = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\[nr])*"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----)?"
)
_SHAPED = re.compile(
    r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"  # an authorization value anywhere
    r"|(?<![A-Za-z0-9_-])sk-[A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic, DeepSeek and those who copy them
    r"|\bAIza[A-Za-z0-9_-]{20,}"  # Google
    r"|\b(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{20,}"
    r"|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS, the id
    r"|\bagw_[0-9A-Za-z]{8,}_[0-9A-Za-z]{16,}"  # our own
    r"|(?<![A-Za-z0-9_-])ey[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"  # a JSON web token
    rf"|{_PEM}",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?P<user>://[^/\s:@]*:)[^/\s]+(?=@)")
_NAME = re.compile(rf"(?:.*[-_.])?(?:{_NAMES})", re.IGNORECASE)

# In a journal stands what people and models wrote: only what can hardly be anything else is a key there.
_CERTAIN = re.compile(
    # Where a word begins, also behind a line break as JSON has it. A word is looked at once: a start within
    # it would look at its rest again, and again.
    rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf]))(?:"
    rb"sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{16,}"
    rb"|AIza[A-Za-z0-9_-]{30,}"
    rb"|(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{30,}"
    rb"|glpat-[A-Za-z0-9_-]{20,}"
    rb"|xox[abeoprs]-[0-9]{6,}[A-Za-z0-9-]{6,}"
    rb"|(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    rb"|agw_[0-9A-Za-z]{11}_[0-9A-Za-z]{30,}"
    rb"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{16,}"
    rb")|(?<=earer )(?=[A-Za-z0-9._~+/=-]*[0-9])[A-Za-z0-9._~+/-]{20,}=*"
    rb"|" + _PEM.encode()
)
_CERTAIN_HINT: Final = re.compile(
    rb"sk-|AIza|gh[pousr]_|github_pat_|glpat-|xox|AKIA|ASIA|agw_|eyJ|earer |PRIVATE KEY"
)
"""Each match of `_CERTAIN` has one of these; nearly every text has none."""
_MASK_BYTES: Final = MASK.encode()


@dataclass(frozen=True, slots=True)
class _Net:
    """A pattern, how a match of it is masked, and lower-case words of which each match has one."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    mask: Callable[[re.Match[str]], str]


_NETS: Final = (
    _Net(
        (
            "bearer",
            "basic",
            "sk-",
            "aiza",
            "gh",
            "glpat-",
            "xox",
            "akia",
            "asia",
            "agw_",
            "ey",
            "private key",
        ),
        _SHAPED,
        lambda match: f"{match['keep'] or ''}{MASK}",
    ),
    _Net(
        ("auth", "key", "cookie", "passw", "secret", "token", "ticket", "credential"),
        _KEYED,
        lambda match: f"{match['name']}{match['scheme']}{MASK}",
    ),
    _Net(("cookie",), _COOKIES, lambda match: f"{match['name']}{MASK}"),
    _Net(("://",), _USERINFO, lambda match: f"{match['user']}{MASK}"),
)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `authorization`, `OPENAI_API_KEY`, ..."""
    return _NAME.fullmatch(name) is not None


def redact(text: str) -> str:
    """`text` with `********` for every secret that is known, and every value that is one by name or shape.

    A net, not the rule: secrets are `Secret` inside and do not print. This is for what other libraries say.
    """
    text = mask_known(text)
    lowered = text.lower()
    for net in _NETS:
        for hint in net.hints:
            if hint in lowered:
                text = net.pattern.sub(net.mask, text)
                break
    return text


def redact_journal(body: bytes, tenant: str) -> bytes:
    """The JSON of a tenant's event without held secrets and shapes of keys; the same object without any.

    Names tell nothing here: `password: ` may be what the task is about.
    """
    body = mask_held_in_json(body, tenant)
    if _CERTAIN_HINT.search(body) is None:
        return body
    masked = _CERTAIN.sub(_MASK_BYTES, body)
    return body if masked == body else masked


def writable(text: str) -> str:
    """`text` with `?` for each lone surrogate: nothing that is written as UTF-8 can hold one."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")
