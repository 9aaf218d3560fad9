"""`EventBus` of one process: every listener hears of every commit, in commit order."""

import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import groupby

from app.domain.events import JournaledEvent
from app.engine.base import Listener, Wake

log = logging.getLogger(__name__)


class LocalBus:
    """See `EventBus`."""

    def __init__(self) -> None:
        self._listeners: dict[int, Listener] = {}
        self._next = 0

    def committed(self, events: Sequence[JournaledEvent]) -> None:
        """See `EventBus`: one wake per task and run of its events."""
        for (task_id, tenant), some in groupby(events, key=lambda event: (event.task_id, event.tenant)):
            self.wake(Wake(task_id=task_id, tenant=tenant, events=tuple(some)))

    def wake(self, wake: Wake) -> None:
        """Tell every listener; one that raises is logged and keeps being told."""
        for listener in tuple(self._listeners.values()):
            try:
                listener(wake)
            except Exception:
                log.exception("a listener of the bus raised")

    def listen(self, listener: Listener) -> Callable[[], None]:
        """See `EventBus`."""
        number, self._next = self._next, self._next + 1
        self._listeners[number] = listener

        def stop() -> None:
            self._listeners.pop(number, None)

        return stop

    @property
    def connected(self) -> bool:
        """See `EventBus`: there is nobody else."""
        return True

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See `EventBus`: there is nobody else to hear."""
        yield
