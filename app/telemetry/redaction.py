"""Takes secrets out of texts that are about to be logged."""

import re

MASK = "********"

_TELLING = (
    r"(?:proxy-)?authorization|(?:x-)?api[-_]?key|(?:set-)?cookie|passw(?:or)?d|secret|"
    r"(?:access|refresh|auth|bearer|id)[-_]?token|token|ticket|private[-_]?key|credentials?"
)
_KEYED = re.compile(
    # a name, also as the end of one (OPENAI_API_KEY); `:`, `=` or a tuple's comma; the value
    rf"(?P<name>(?:{_TELLING})[\"']?\s*(?:[:=]|,(?=\s*b?[\"']))\s*)"
    r"(?P<scheme>b?[\"']?(?:(?:bearer|basic|token|apikey)\s+)?)"
    r"(?P<value>[^\s\"',;&)}\]]+)",
    re.IGNORECASE,
)
_SHAPED = re.compile(
    r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"  # an authorization value anywhere
    r"|\bsk-[A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic, DeepSeek and those who copy them
    r"|\bAIza[A-Za-z0-9_-]{20,}"  # Google
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"  # GitHub
    r"|\bey[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",  # a JSON web token
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?P<user>://[^/\s:@]*:)[^/\s@]+(?=@)")
_NAME = re.compile(rf"(?:.*[-_.])?(?:{_TELLING})", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `authorization`, `OPENAI_API_KEY`, …"""
    return _NAME.fullmatch(name) is not None


def redact(text: str) -> str:
    """`text` with `********` for every value that by its name or shape is a secret.

    A net, not the rule: secrets are `Secret` inside and do not print. This is for what other libraries log.
    """
    text = _SHAPED.sub(lambda match: f"{match['keep'] or ''}{MASK}", text)
    text = _KEYED.sub(lambda match: f"{match['name']}{match['scheme']}{MASK}", text)
    return _USERINFO.sub(lambda match: f"{match['user']}{MASK}", text)


def writable(text: str) -> str:
    """`text` with `?` for each lone surrogate: nothing that is written as UTF-8 can hold one."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")
