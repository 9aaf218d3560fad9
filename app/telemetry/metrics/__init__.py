"""The Prometheus metrics of one gateway, in a registry of their own: a module for each subject.

Label values are closed or bounded sets: never a tenant, never an id, never a caller's text.
"""

from app.telemetry.metrics.gateway import Metrics

__all__ = ["Metrics"]
