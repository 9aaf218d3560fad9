"""The exporter of spans, from the settings."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from app.settings.traces import TraceSettings
from app.telemetry.export import ExportCounts, ExportQueue
from app.telemetry.otlp import encoded


class TraceExportError(OSError):
    """A file that the export of spans needs cannot be read."""


def span_export(settings: TraceSettings, counts: ExportCounts) -> ExportQueue | None:
    """A queue in front of the collector, its thread started; None when there is no collector.

    Does not connect: a collector that is not there is an outage and no reason not to start. Raises
    TraceExportError naming a file that cannot be read.
    """
    if settings.url is None:
        return None
    parts = urlsplit(settings.url)
    return ExportQueue(
        _grpc_exporter(settings) if settings.protocol == "grpc" else _http_exporter(settings, settings.url),
        counts,
        to=f"{parts.scheme}://{parts.netloc}",
        max_queue=settings.max_queue,
        max_batch=settings.max_batch,
        interval_s=settings.interval.total_seconds(),
        flush_timeout_s=settings.flush_timeout.total_seconds(),
    )


def _grpc_exporter(settings: TraceSettings) -> SpanExporter:
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    class Exporter(OTLPSpanExporter):
        """The library's, with our encoder: its retries, its reconnecting."""

        def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
            return ExportTraceServiceRequest.FromString(encoded(data))

    secured = settings.endpoint is not None and settings.endpoint.startswith("https:")
    return Exporter(
        endpoint=settings.endpoint,
        insecure=not secured,
        credentials=grpc.ssl_channel_credentials(
            root_certificates=_read("traces.ca", settings.ca),
            private_key=_read("traces.key", settings.key),
            certificate_chain=_read("traces.certificate", settings.certificate),
        )
        if secured
        else None,
        headers=tuple(_headers(settings).items()),
        timeout=settings.timeout.total_seconds(),
        compression=grpc.Compression.Gzip
        if settings.compression == "gzip"
        else grpc.Compression.NoCompression,
    )


def _http_exporter(settings: TraceSettings, url: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    class Exporter(OTLPSpanExporter):
        """The library's, with our encoder."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            sent = not self._shutdown and self._client.export(encoded(spans)).success
            return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    for name, path in (
        ("traces.ca", settings.ca),
        ("traces.key", settings.key),
        ("traces.certificate", settings.certificate),
    ):
        _read(name, path)
    return Exporter(
        endpoint=url,
        certificate_file=_text(settings.ca),
        client_key_file=_text(settings.key),
        client_certificate_file=_text(settings.certificate),
        headers=_headers(settings),
        timeout=settings.timeout.total_seconds(),
        compression=Compression.Gzip if settings.compression == "gzip" else Compression.NoCompression,
    )


def _headers(settings: TraceSettings) -> dict[str, str]:
    return {name.lower(): value.get_secret_value() for name, value in settings.headers.items()}


def _read(name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise TraceExportError(f"{name}={path}: {error.strerror or error}") from None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
