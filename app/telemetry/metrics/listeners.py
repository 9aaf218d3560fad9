"""Connections and certificates of the listeners."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ListenerMetrics:
    """What happens below the calls."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.connections_refused = Counter(
            "agentgateway_connections_refused",
            "HTTP connections ended early: no room, a failed handshake, no HTTP, too slow.",
            ["reason"],
            registry=registry,
        )
        self.certificate_expiry = Gauge(
            "agentgateway_certificate_expiry_timestamp_seconds",
            "When the listeners' certificate expires; 0 without TLS.",
            registry=registry,
        )
        self.certificate_reloads = Counter(
            "agentgateway_certificate_reloads",
            "Changed certificate files read again: ok, or failed and the old ones kept.",
            ["outcome"],
            registry=registry,
        )
