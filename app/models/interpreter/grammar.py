"""The sentences the offline planner knows: one table row per kind, the first that fits decides.

A row is a pattern over one clause (`(?i)`, matched in full) and a reading. A reading returns False,
having added nothing, when the words fit but the meaning does not; then the next row is tried.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from app.models.interpreter import readings as to
from app.models.interpreter.clauses import clauses_of
from app.models.interpreter.draft import Draft
from app.models.interpreter.plan import Earlier, Plan
from app.models.interpreter.refusals import not_understood
from app.models.interpreter.script import plan_of_script

Reading = Callable[[re.Match[str], Draft], bool]


class Row(NamedTuple):
    """One kind of sentence."""

    pattern: re.Pattern[str]
    read: Reading


NOUN = (
    r"(?P<noun>(?:the |a |an |my )?(?:(?:new|existing|text|empty) )*(?:file|document)s? (?:called |named )?)?"
)
FILE = r"(?P<file>(?:the|that|this) (?:same )?(?:file|document)|\S+)"
INTO = r"(?:to|in|into|as|inside|under|onto)"
MARKED = r"\ue000\d+\ue001"
SHOW = r"(?:show|print|display|tell|give)(?: me| us)?"


def _row(pattern: str, read: Reading) -> Row:
    return Row(re.compile(pattern, re.IGNORECASE), read)


ROWS: tuple[Row, ...] = (
    # the clock
    _row(r"what (?P<what>time|day|date) is (?:it|today)(?: today| now)?", to.moment),
    _row(
        rf"(?:what(?:['’]s| is)|{SHOW}|get|check) (?:the current |the |current |today['’]s )?(?P<what>date "
        r"and time|time|date|day)(?: is it)?(?: today| now)?",
        to.moment,
    ),
    _row(r"(?P<what>date|time) now|current (?:date|time)", to.moment),
    # files
    _row(
        rf"(?:append|add) (?P<what>.+?) (?:to|into|at the end of|to the end of) (?:the end of )?{NOUN}{FILE}",
        to.append_file,
    ),
    _row(
        rf"(?:save|write|store|put|record|output|dump|export) (?P<what>.+?) {INTO} {NOUN}{FILE}",
        to.write_file,
    ),
    _row(
        rf"(?:write|save) {INTO} {NOUN}{FILE}:? (?:the text |the words |the content )?(?P<what>{MARKED})",
        to.write_file,
    ),
    _row(rf"(?:save|store|write) {INTO} {NOUN}{FILE}", to.write_result),
    _row(
        rf"(?:create|make|write|add) {NOUN}{FILE} (?:containing|with|that contains|that says|which contains|"
        r"saying|and (?:write|put) (?:in|into|to) it)(?: the)?(?: following)?(?: text| content| contents| "
        r"words?| line)?:? (?P<what>.+)",
        to.write_file,
    ),
    _row(rf"(?:create|make|touch) {NOUN}{FILE}", to.create_file),
    _row(
        rf"copy {NOUN}{FILE} (?:to|into|as) (?:the |a |an )?(?:new )?(?:file )?(?P<target>\S+)", to.copy_file
    ),
    _row(
        r"(?:list|show|display|print)(?: me)?(?: all)?(?: of)?(?: the| my)? files?(?: (?:in|of|under|inside|"
        r"from) (?:the )?(?:(?:current |this )?(?:workspace|directory|folder|sandbox)|here|(?:folder |"
        r"directory )?(?P<folder>\S+(?: folder| directory)?)))?(?: there are)?",
        to.list_files,
    ),
    _row(
        r"(?:what|which) files (?:are|exist|do (?:i|we|you) have)(?: there)?(?: (?:in|under|inside) (?:the "
        r")?(?:workspace|(?:folder |directory )?(?P<folder>\S+)))?|ls",
        to.list_files,
    ),
    _row(
        rf"(?:read|{SHOW}|load|cat|check|verify|open|view|look at|what(?:['’]s| is)(?: in)?)(?: back)? "
        r"(?:(?:the |its )?(?:contents?|text) (?:of|in|from) )?(?P<file>.+?)(?: back| again| aloud)*(?: to "
        r"me)?",
        to.read_file,
    ),
    _row(
        rf"(?:{SHOW} )?what(?: is|['’]s| does| do)?(?: in| inside)? (?P<file>.+?)(?: contains?| says?| "
        r"holds?| has in it| has inside| is)?",
        to.read_file,
    ),
    _row(rf"(?:delete|remove|erase) {NOUN}(?P<file>.+)", to.delete_file),
    # code and data
    _row(
        r"(?:run|execute|evaluate)(?: the| this| some| following)*(?: python)?(?: code| script| program| "
        rf"snippet)?:? ?(?P<code>{MARKED})(?: (?:in|with|using) python)?",
        to.python,
    ),
    _row(rf"python(?: code)?:? ?(?P<code>{MARKED})", to.python),
    _row(
        rf"query (?:the )?(?:sqlite )?(?:database |db )?{NOUN}(?P<file>[^\s:]+?)(?: with| using)?(?: "
        rf"the)?(?: sql)?:? ?(?P<sql>{MARKED})",
        to.query,
    ),
    _row(
        rf"(?:run|execute)(?: the| this)?(?: sql| sqlite)?(?: query| statement)?:? (?P<sql>{MARKED}) (?:on|"
        rf"against|in|over) (?:the )?(?:sqlite )?(?:database |db )?{NOUN}(?P<file>\S+)",
        to.query,
    ),
    # the network
    _row(
        r"(?:fetch|get|download|load|read|retrieve|curl|http get)(?: me)?(?: the| this)?(?: web)?(?: ?page|"
        rf" url| contents?| file| site| website| document| text)?(?: of| at| from)? ?(?P<url>{MARKED})(?:,? "
        rf"(?:and )?(?:save|store|write)?(?: it| that)? ?{INTO} {NOUN}(?P<file>\S+))?",
        to.fetch,
    ),
    _row(r"search (?:the )?(?:web|internet|online) for (?P<what>.+)", to.search),
    _row(r"search for (?P<what>.+?)(?: online| on the (?:web|internet))", to.search),
    _row(r"(?:google|web search:?) (?P<what>.+)", to.search),
    _row(r"look up (?P<what>.+?)(?: online| on the (?:web|internet))?", to.search),
    # the person
    _row(r"ask(?: me| the user)?(?: for| about)?:? (?P<what>.+)", to.ask),
    # time passing
    _row(
        r"(?:wait|sleep|pause)(?: for)? (?P<count>\d+(?:\.\d+)?|[a-z]+(?:[ -][a-z]+){0,5}?) "
        r"?(?P<unit>seconds?|secs?|s|milliseconds?|millis|ms|minutes?|mins?)",
        to.wait,
    ),
    # the answer
    _row(r"(?:say|reply|answer|respond|echo|print)(?: with| me| by saying)?:? (?P<what>.+)", to.say),
    _row(rf"(?:{SHOW}|what(?:['’]s| is|['’]re| are)|return|report):? (?P<what>.+)", to.say_known),
    # arithmetic, last: its verbs are also those of others
    _row(
        r"(?:compute|calculate|evaluate|work out|what(?:['’]s| is| are| does)|how much (?:is|are)|solve|"
        rf"find|determine|get|take|{SHOW})(?: the (?:result|value|answer) of)?:? (?P<what>.+?)(?: "
        r"(?:equals?|make|give|is))?",
        to.calculate,
    ),
    _row(r"(?P<what>.+)", to.calculate_bare),
    # a screen, a mouse, a keyboard
    _row(
        r"(?:(?:(?:double|right|left|middle)[- ])?click|open|launch|start|close|quit|press|hit|type|drag|"
        r"drop|scroll|hover|move the (?:mouse|cursor)|(?:take|make|capture) (?:a |the )?screen ?shot|"
        r"screenshot|capture the screen|maximi[sz]e|minimi[sz]e|select|focus|switch to|go to|navigate|"
        r"browse|visit|log ?in|sign in|fill|enter|tick|check the box|swipe|tap)\b.*",
        to.refuse_screen,
    ),
)


def plan_of(instruction: str, *, earlier: Earlier | None = None) -> Plan:
    """The whole instruction as a plan, before anything is done.

    Raises NotUnderstoodError (a clause is beyond this planner) or NotConfiguredError (it is about a
    screen); both name the clause.
    """
    script = plan_of_script(instruction)
    if script is not None:
        return script
    draft = Draft(earlier or Earlier())
    for clause in clauses_of(instruction):
        draft.clause = clause
        if not any(_reads(row, draft) for row in ROWS):
            raise not_understood(clause.told)
    plan = draft.plan()
    if not plan.steps:
        raise not_understood(instruction.strip(), "there is nothing to do in it")
    return plan


def _reads(row: Row, draft: Draft) -> bool:
    found = row.pattern.fullmatch(draft.clause.words)
    return found is not None and row.read(found, draft)
