"""How readiness is found out."""

from datetime import timedelta

from app.settings.sections import Seconds, Section


class HealthSettings(Section):
    """Readiness: store, queue, bus, remote sandboxes and the shared store of the limits are looked after."""

    interval: Seconds = timedelta(seconds=5)
    """How often they are looked at; probes are answered from the last look."""
    timeout: Seconds = timedelta(seconds=2)
    """A check that takes longer has failed."""
