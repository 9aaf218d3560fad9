"""What the variables of OpenTelemetry mean here, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from app.bootstrap.secrets import secrets_of
from app.settings import Settings
from app.settings.traces import TraceSettings, standard_values


def test_the_standard_variables_are_read() -> None:
    values = standard_values(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318/base",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20abc,x-team=a%3Db",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
            "OTEL_BSP_SCHEDULE_DELAY": "250",
            "OTEL_SERVICE_NAME": "agents",
        }
    )
    settings = TraceSettings.model_validate(values)

    assert settings.url == "https://collector:4318/base/v1/traces"
    assert {name: value.get_secret_value() for name, value in settings.headers.items()} == {
        "authorization": "Bearer abc",
        "x-team": "a=b",
    }
    assert (settings.timeout, settings.interval) == (timedelta(seconds=1.5), timedelta(seconds=0.25))
    assert (settings.compression, settings.sampling_ratio, settings.parent_based) == ("gzip", 0.1, True)
    assert settings.service_name == "agents"


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/own"}, "http://c:4318/own"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://c:4317",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_where_spans_go(variables: dict[str, str], url: str | None) -> None:
    assert TraceSettings.model_validate(standard_values(variables)).url == url


def test_ours_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    monkeypatch.setenv("GATEWAY_TRACES__ENDPOINT", "http://ours:4318")

    traces = Settings().traces

    assert (traces.endpoint, traces.service_name) == ("http://ours:4318", "theirs")


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "collector:4317"},
        {"endpoint": "http://user:hush-password@collector:4317"},
        {"endpoint": "http://collector:4317?key=hush-password"},
        {"endpoint": "http://collector:hush-password"},
        {"endpoint": "http://collector:4317", "ca": "ca.pem"},
        {"key": "key.pem"},
        {"protocol": "http/json"},
        {"sampling_ratio": "jaeger_remote"},
    ],
)
def test_what_cannot_be_is_refused_without_repeating_it(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        TraceSettings.model_validate(wrong)

    told = str([(error["loc"], error["msg"]) for error in refused.value.errors()])
    assert "hush" not in told


def test_every_secret_of_the_settings_is_known_to_the_redactor() -> None:
    settings = Settings.model_validate(
        {
            "auth": {"keys": [{"key": "planted-caller-key", "subject": "a"}]},
            "model": {"api_key": "planted-default", "provider_keys": {"openai": "planted-provider"}},
            "storage": {"postgres_url": "postgresql://gateway:planted%2Fdsn@db/gateway"},
            "rate_limits": {"redis_url": "redis://:planted-redis@db:6379/0"},
            "traces": {"headers": {"authorization": "Bearer planted-collector"}},
            "tools": {"search_api_key": "planted-search"},
        }
    )

    assert set(secrets_of(settings)) >= {
        "planted-caller-key",
        "planted-default",
        "planted-provider",
        "planted/dsn",
        "planted%2Fdsn",
        "planted-redis",
        "planted-collector",
        "planted-search",
    }
    assert "gateway" not in set(secrets_of(settings))
