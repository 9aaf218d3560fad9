"""How a piece of work ended and how long it took, in the words that metrics use."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from app.domain.errors import DomainError, InternalError


@dataclass(slots=True)
class Outcome:
    """How it ended; whoever does the work may say it in another word than `ok`."""

    word: str = "ok"


@contextmanager
def timed(
    tell: Callable[[str, float], None], *, clock: Callable[[], float] = monotonic
) -> Generator[Outcome]:
    """When the block ends, `tell` its outcome and its seconds.

    The outcome is the block's own word, `CANCELLED`, or the reason of its error (that of an internal one for
    what nobody expected). Errors pass.
    """
    began, outcome = clock(), Outcome()
    try:
        yield outcome
    except asyncio.CancelledError:
        outcome.word = "CANCELLED"
        raise
    except DomainError as error:
        outcome.word = error.reason
        raise
    except BaseException:
        outcome.word = InternalError.reason
        raise
    finally:
        tell(outcome.word, clock() - began)
