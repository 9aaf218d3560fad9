"""What each kind of sentence adds to the plan.

A reading returns False, having added nothing, when the words fit its row but the meaning does not.
"""

import re

from app.models.interpreter.arithmetic import expression_of, is_calculation
from app.models.interpreter.draft import Draft
from app.models.interpreter.numerals import number_at
from app.models.interpreter.refusals import no_desktop


def calculate(found: re.Match[str], draft: Draft) -> bool:
    """One calculation, or several joined by "and" or commas."""
    if draft.calculate(found["what"]) is not None:
        return True
    pieces = re.split(r", and |, | and ", found["what"])
    expressions = [expression_of(piece) for piece in pieces]
    if not all(expression is not None and is_calculation(expression) for expression in expressions):
        return False
    return all(draft.calculate(piece) is not None for piece in pieces)


def calculate_bare(found: re.Match[str], draft: Draft) -> bool:
    return draft.calculate(found["what"], also_numbers=False) is not None


def write_file(found: re.Match[str], draft: Draft) -> bool:
    path = draft.path(found["file"], sure=True)
    content = draft.content(found["what"]) if path is not None else None
    if path is None or content is None:
        return False
    draft.call("write_file", path=path, content=content)
    return True


def write_result(found: re.Match[str], draft: Draft) -> bool:
    """`save to a.txt`: the result is meant."""
    path = draft.path(found["file"], sure=True)
    if path is None:
        return False
    draft.call("write_file", path=path, content=draft.result("body"))
    return True


def append_file(found: re.Match[str], draft: Draft) -> bool:
    words = found["what"]
    if expression_of(draft.clause.words) is not None:
        return False  # "add 3 to 4", "add 5 to it"
    is_line = re.match(r"(?:the |a )?(?:new )?line:? (?=\S)", words, re.IGNORECASE)
    path = draft.path(found["file"], sure=True)
    content = draft.content(words[is_line.end() :] if is_line else words) if path is not None else None
    if path is None or content is None:
        return False
    if is_line:
        content = type(content)((*content.pieces, "\n"))
    draft.call("write_file", path=path, content=content, append=True)
    return True


def create_file(found: re.Match[str], draft: Draft) -> bool:
    path = draft.path(found["file"], sure=True)
    if path is None:
        return False
    draft.call("write_file", path=path, content="")
    return True


def read_file(found: re.Match[str], draft: Draft) -> bool:
    reads = re.match(r"read|load|cat|open|check|verify", found[0], re.IGNORECASE)
    if reads is None and not draft.means_a_file(found["file"]):
        return False  # "compute 2 + 2 and show it", `print "hello"`
    paths = _paths(found["file"], draft)
    for path in paths:
        draft.call("read_file", path=path)
    return bool(paths)


def delete_file(found: re.Match[str], draft: Draft) -> bool:
    paths = _paths(found["file"], draft, sure=bool(found["noun"]))
    for path in paths:
        draft.call("delete_file", path=path)
    return bool(paths)


def _paths(words: str, draft: Draft, *, sure: bool = False) -> list[str]:
    """`a.txt, b.txt and c.txt`; empty when one of them is no file."""
    found = [draft.path(piece, sure=sure) for piece in re.split(r",? and |, ", words)]
    return [path for path in found if path] if all(found) else []


def copy_file(found: re.Match[str], draft: Draft) -> bool:
    source, target = draft.path(found["file"]), draft.path(found["target"], sure=True)
    if source is None or target is None:
        return False
    draft.call("write_file", path=target, content=draft.call("read_file", path=source))
    return True


def list_files(found: re.Match[str], draft: Draft) -> bool:
    words = found["folder"]
    if words is None:
        draft.call("list_files")
        return True
    path = draft.folder(words)
    if path is None:
        return False
    draft.call("list_files", path=path)
    return True


def python(found: re.Match[str], draft: Draft) -> bool:
    code = draft.quoted(found["code"])
    if code is None or not code.strip():
        return False
    draft.call("python", code=code)
    return True


def query(found: re.Match[str], draft: Draft) -> bool:
    path, sql = draft.path(found["file"], sure=True), draft.quoted(found["sql"])
    if path is None or sql is None or not sql.strip():
        return False
    draft.call("sqlite_query", path=path, sql=sql)
    return True


def fetch(found: re.Match[str], draft: Draft) -> bool:
    url = draft.url(found["url"])
    target = found["file"]
    path = draft.path(target, sure=True) if target else None
    if url is None or (target and path is None):
        return False
    draft.call("http_fetch", url=url)
    if path is not None:
        draft.call("write_file", path=path, content=draft.result("body"))
    return True


def search(found: re.Match[str], draft: Draft) -> bool:
    query = draft.quoted(found["what"]) or draft.clause.unmasked(found["what"])
    draft.call("web_search", query=query)
    return True


def ask(found: re.Match[str], draft: Draft) -> bool:
    words = found["what"]
    question = draft.quoted(words)
    if question is None:
        told = re.sub(r"\b(?:my|mine|i|me)\b", _turned, draft.clause.unmasked(words), flags=re.IGNORECASE)
        question = f"Please tell me {told}."
    if not question.strip():
        return False
    draft.call("ask_user", question=question)
    return True


def _turned(found: re.Match[str]) -> str:
    return {"my": "your", "mine": "yours", "i": "you", "me": "you"}[found[0].lower()]


def moment(found: re.Match[str], draft: Draft) -> bool:
    draft.moment((found["what"] or "date and time").lower())
    return True


def wait(found: re.Match[str], draft: Draft) -> bool:
    words = found["count"].lower().split()
    if re.fullmatch(r"\d+(?:\.\d+)?", words[0]) and len(words) == 1:
        count = words[0]
    elif words in (["a"], ["one"]):
        count = "1"
    else:
        number = number_at(words, 0, and_joins=True)
        if number is None or number[1] < len(words):
            return False
        count = number[0]
    unit = found["unit"].lower()
    scale = 0.001 if unit.startswith("m") and unit[1:2] in {"s", "i"} and not unit.startswith("min") else 1.0
    seconds = float(count) * (60.0 if unit.startswith("min") else scale)
    draft.call("wait", seconds=int(seconds) if seconds.is_integer() else seconds)
    return True


def say(found: re.Match[str], draft: Draft) -> bool:
    content = draft.content(found["what"])
    if content is None:
        return False
    draft.say(content)
    return True


def say_known(found: re.Match[str], draft: Draft) -> bool:
    """`tell me X`: never plain words, they would be a question to someone who knows."""
    words = found["what"]
    if draft.path(words) is not None and re.fullmatch(r"(?:it|that|this|them)", words, re.IGNORECASE) is None:
        return False
    if draft.quoted(words) is None and not re.match(r"(?:it|that|this|the|today)\b", words, re.IGNORECASE):
        return False
    bare = re.sub(r"^the (?:result|value|answer) of ", "", words, flags=re.IGNORECASE)
    if draft.calculate(bare, also_numbers=False) is not None:
        return True
    return say(found, draft)


def refuse_screen(found: re.Match[str], draft: Draft) -> bool:
    del found
    hint = ""
    if any(literal.kind == "url" for literal in draft.clause.literals):
        hint = '; "fetch URL" reads a page without a browser'
    raise no_desktop(draft.clause.told, hint)
