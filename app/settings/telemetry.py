"""What the process tells about itself."""

from typing import Literal

from app.settings.sections import Port, Section


class TelemetrySettings(Section):
    """Logs and metrics."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Of everything that this process logs."""
    log_format: Literal["auto", "json", "plain"] = "auto"
    """`auto` is plain on a terminal, else JSON."""
    spans_to_log: bool = False
    """Write every finished span as a log line; exporters are for production."""
    prometheus: bool = True
    """Serve /metrics on the REST listener."""
    prometheus_port: Port | None = None
    """Also serve it on a port of its own."""
    peer_metrics: bool = True
    """Also show the metrics under the names of the services this one stands in for."""
