"""Gauges that are read when somebody scrapes: what is counted elsewhere costs nothing until then."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Family = GaugeMetricFamily | CounterMetricFamily
Read = Callable[[], Mapping[tuple[str, ...], float]]
"""Values by their label values. Called by the scrape, in its thread: it must be quick and not raise."""


class Reading(Collector):
    """One gauge, or counter, read from its owner. Without an owner it shows no value."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        family: type[GaugeMetricFamily] | type[CounterMetricFamily] = GaugeMetricFamily,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._family: type[GaugeMetricFamily] | type[CounterMetricFamily] = family
        self._read: Read = dict[tuple[str, ...], float]
        registry.register(self)

    def read_from(self, read: Read) -> None:
        """Show these values from now on."""
        self._read = read

    def read_one(self, read: Callable[[], float]) -> None:
        """Show this value from now on, of a metric without labels."""
        self._read = lambda: {(): read()}

    def describe(self) -> Iterable[Family]:
        """Its name and kind; nothing is read."""
        return [self._family(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterable[Family]:
        """What its owner says now."""
        family = self._family(self._name, self._documentation, labels=self._labels)
        for labels, value in sorted(self._read().items()):
            family.add_metric(labels, value)
        return [family]
