"""Where spans go, which of them, and how."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.settings.sections import Seconds, Section

_TRACES_PATH = "/v1/traces"
_OTLP = "OTEL_EXPORTER_OTLP_"
_PLAIN = {
    "PROTOCOL": "protocol",
    "CERTIFICATE": "ca",
    "CLIENT_CERTIFICATE": "certificate",
    "CLIENT_KEY": "key",
    "COMPRESSION": "compression",
}
_COUNTS = {"OTEL_BSP_MAX_QUEUE_SIZE": "max_queue", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "max_batch"}


class TraceSettings(Section):
    """Spans to a collector, over OTLP. The variables that OpenTelemetry names (`OTEL_EXPORTER_OTLP_ENDPOINT`,
    `OTEL_TRACES_SAMPLER`, ...) are read, too; these here win."""

    endpoint: str | None = None
    """`http://collector:4318` or, with `traces.protocol=grpc`, `http://collector:4317`; `https` for TLS. With
    HTTP a URL without a path gets `/v1/traces`. Without an endpoint nothing is exported."""
    protocol: Literal["http/protobuf", "grpc"] = "http/protobuf"
    """How the collector is spoken to."""
    headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Sent with every export: `{"authorization": "Bearer ..."}`. Secret, so not part of the URL."""
    timeout: Seconds = timedelta(seconds=10)
    """For one export, its retries included."""
    compression: Literal["none", "gzip"] = "none"
    """Of what is sent."""
    ca: Path | None = None
    """PEM: the authorities that the collector's certificate is checked against. None: those of the system."""
    certificate: Path | None = None
    """PEM: what is shown to a collector that asks for a certificate."""
    key: Path | None = None
    """PEM: the key that belongs to it."""
    sampling_ratio: float = Field(default=1.0, ge=0, le=1)
    """Of the traces that begin here, this part is recorded, chosen by trace id: 0 for none, 1 for all."""
    parent_based: bool = True
    """A caller whose `traceparent` says that its trace is, or is not, recorded decides for us as well."""
    interval: Seconds = timedelta(seconds=5)
    """The longest that an ended span waits for others to go with."""
    max_batch: int = Field(default=512, ge=1, le=10_000)
    """Spans of one export; as soon as so many wait, they go."""
    max_queue: int = Field(default=4_096, ge=1, le=1_000_000)
    """Spans that wait; beyond it they are dropped and counted."""
    flush_timeout: Seconds = timedelta(seconds=3)
    """When the process ends: how long the last spans may take."""
    service_name: str = Field(default="agent-gateway", min_length=1, max_length=255)
    """`service.name` of the spans; `OTEL_RESOURCE_ATTRIBUTES` may add others beside it."""

    @field_validator("endpoint")
    @classmethod
    def _is_a_url(cls, endpoint: str | None) -> str | None:
        if endpoint is None or _is_endpoint(endpoint):
            return endpoint or None
        # Not repeated: there may be a password in it.
        raise ValueError("must be http://host:port or https://host:port, without a user, query or fragment")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("traces.certificate and traces.key go together: one of them is missing")
        if self.ca is not None and self.endpoint is not None and self.endpoint.startswith("http:"):
            raise ValueError("traces.ca is set, but traces.endpoint is http: TLS needs https")
        return self

    @property
    def url(self) -> str | None:
        """The endpoint as it is called: with the path, when it is HTTP."""
        if self.endpoint is None or self.protocol == "grpc" or urlsplit(self.endpoint).path.strip("/"):
            return self.endpoint
        return self.endpoint.rstrip("/") + _TRACES_PATH


def standard_values(environment: Mapping[str, str]) -> dict[str, object]:
    """What the variables of OpenTelemetry's specification say, as `TraceSettings` calls it.

    A variable of traces (`OTEL_EXPORTER_OTLP_TRACES_HEADERS`) wins over the general one. Durations are in
    milliseconds, as the specification has it. With `OTEL_SDK_DISABLED=true` or `OTEL_TRACES_EXPORTER=none`
    nothing is read.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return {}
    if environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return {}

    def said(name: str) -> str | None:
        return environment.get(f"{_OTLP}TRACES_{name}") or environment.get(f"{_OTLP}{name}") or None

    values: dict[str, object] = {setting: said(name) for name, setting in _PLAIN.items()}
    values |= {setting: environment.get(name) for name, setting in _COUNTS.items()}
    values["endpoint"] = _endpoint(environment, said("PROTOCOL"))
    values["timeout"] = _duration(said("TIMEOUT"))
    values["interval"] = _duration(environment.get("OTEL_BSP_SCHEDULE_DELAY"))
    values["headers"] = _headers(said("HEADERS"))
    values["service_name"] = environment.get("OTEL_SERVICE_NAME")
    values |= _sampling(environment)
    return {setting: value for setting, value in values.items() if value not in (None, "")}


def _endpoint(environment: Mapping[str, str], protocol: str | None) -> str | None:
    """Of traces: taken as it is. The general one is a base, below which HTTP has a path for each signal."""
    if own := environment.get(f"{_OTLP}TRACES_ENDPOINT"):
        return own
    base = environment.get(f"{_OTLP}ENDPOINT")
    if not base or protocol == "grpc" or not urlsplit(base).path.strip("/"):
        return base
    return base.rstrip("/") + _TRACES_PATH


def _duration(milliseconds: str | None) -> object:
    """Anything but a number is left for the settings to refuse."""
    if not milliseconds or not milliseconds.strip().isdecimal():
        return milliseconds
    return timedelta(milliseconds=int(milliseconds))


def _headers(text: str | None) -> dict[str, str] | None:
    """`name=value,name=value`, percent-encoded."""
    if not text:
        return None
    pairs = (pair.partition("=") for pair in text.split(","))
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs if name.strip()}


def _sampling(environment: Mapping[str, str]) -> dict[str, object]:
    sampler = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    kind = sampler.removeprefix("parentbased_")
    ratios: dict[str, object] = {
        "always_on": 1.0,
        "always_off": 0.0,
        "traceidratio": environment.get("OTEL_TRACES_SAMPLER_ARG") or 1.0,
    }
    if not sampler:
        return {}
    # An unknown sampler is refused where ratios are checked, by its name.
    return {"parent_based": sampler != kind, "sampling_ratio": ratios.get(kind, sampler)}


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    plain = parts.username is None and not parts.query and not parts.fragment
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and plain
