"""The store's commits."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class StorageMetrics:
    """How long commits take and how many commands share one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "agentgateway_store_commit_duration_seconds",
            "Time of a transaction of the task store, from loading to COMMIT.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self._commands = Histogram(
            "agentgateway_store_commit_commands",
            "Commands that one transaction carried.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._failures = Counter(
            "agentgateway_store_commit_failures",
            "Transactions of the task store that failed.",
            registry=registry,
        )

    def committed(self, commands: int, duration_s: float, ok: bool) -> None:
        """One transaction is over."""
        if ok:
            self._seconds.observe(duration_s)
            self._commands.observe(commands)
        else:
            self._failures.inc()
