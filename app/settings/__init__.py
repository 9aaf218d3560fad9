"""Settings of the process: environment (`GATEWAY_SECTION__NAME`), `.env`, a TOML file.

Read by the composition root and the command line only; parts get plain values. Precedence:
environment, `.env`, the TOML file, the defaults here. An unknown or wrong setting stops the start
and is named. The groups of settings are in the modules beside this one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.domain.loopback import is_loopback
from app.settings.access import AuthSettings
from app.settings.breakers import BreakerSettings
from app.settings.budgets import BudgetSettings
from app.settings.keeping import RetentionSettings, SecretsSettings, StorageSettings
from app.settings.listeners import GrpcSettings, RestSettings, StreamSettings
from app.settings.rate_limits import RateLimitSettings
from app.settings.running import EngineSettings, LimitSettings, ModelSettings, SandboxSettings, ToolSettings
from app.settings.sections import Section
from app.settings.telemetry import TelemetrySettings
from app.settings.tls import TlsSettings
from app.settings.traces import TraceSettings, standard_values

PREFIX = "GATEWAY_"
CONFIG_VARIABLE = "GATEWAY_CONFIG"
DEFAULT_CONFIG = Path("agent-gateway.toml")
TEST_PREFIX = "GATEWAY_TEST_"
"""Variables of the test suite, which a developer's shell may hold: no settings, and no misspelt ones."""


class Settings(BaseSettings):
    """All settings; sections by subject."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )
    seeds: ClassVar[Mapping[str, tuple[str, str]]] = {
        "TASK_STORAGE_BACKEND": ("storage", "backend"),
        "POSTGRES_CONNECTION_STRING": ("storage", "postgres_url"),
        "TASK_MAX_TASKS": ("engine", "max_concurrent_tasks"),
        "LOG_LEVEL": ("telemetry", "log_level"),
        "GRPC_PORT": ("grpc", "port"),
        "ENABLE_PROMETHEUS": ("telemetry", "prometheus"),
        "PROMETHEUS_PORT": ("telemetry", "prometheus_port"),
    }
    """Names that the services this one stands in for use; ours win."""

    grpc: GrpcSettings = GrpcSettings()
    rest: RestSettings = RestSettings()
    tls: TlsSettings = TlsSettings()
    storage: StorageSettings = StorageSettings()
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    stream: StreamSettings = StreamSettings()
    retention: RetentionSettings = RetentionSettings()
    model: ModelSettings = ModelSettings()
    budgets: BudgetSettings = BudgetSettings()
    breakers: BreakerSettings = BreakerSettings()
    sandbox: SandboxSettings = SandboxSettings()
    tools: ToolSettings = ToolSettings()
    auth: AuthSettings = AuthSettings()
    secrets: SecretsSettings = SecretsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    traces: TraceSettings = TraceSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls, toml_file=config_path())
        return init_settings, env_settings, dotenv_settings, _SeedNames(settings_cls), toml

    @model_validator(mode="after")
    def _open_only_on_loopback(self) -> Self:
        if self.auth.configured:
            return self
        for name, section in (("grpc", self.grpc), ("rest", self.rest)):
            if section.enabled and section.tcp and not is_loopback(section.host):
                raise ValueError(
                    f"{name}.host={section.host} lets others in: set auth.mode=required (and make a key with"
                    " `agent-gateway keys create`), auth.keys, auth.oidc or auth.certificates"
                    "; or use 127.0.0.1"
                )
        return self

    @model_validator(mode="after")
    def _something_listens(self) -> Self:
        if not (self.grpc.enabled or self.rest.enabled):
            raise ValueError("grpc.enabled and rest.enabled are both off: nothing would listen")
        return self

    @model_validator(mode="after")
    def _certificates_are_asked_for_where_they_can_be(self) -> Self:
        asking: set[str] = set()
        for name, section in (("grpc", self.grpc), ("rest", self.rest)):
            wanted = section.client_certificates or self.tls.client_certificates
            if not (section.enabled and section.tcp and wanted != "none"):
                continue
            asking.add(name)
            if self.tls.client_ca is None or not section.tls:
                raise ValueError(f"{name}.client_certificates={wanted} needs TLS there, and tls.client_ca")
            if name == "grpc" and wanted == "optional":
                raise ValueError(
                    "tls.client_certificates=optional cannot be had with gRPC: set grpc.client_certificates"
                )
        if self.auth.certificates and not asking:
            raise ValueError("auth.certificates are set, but tls.client_certificates=none asks for none")
        if not asking and self.tls.client_ca:
            raise ValueError("tls.client_ca is set, but tls.client_certificates=none asks for no certificate")
        return self


class _SeedNames(PydanticBaseSettingsSource):
    """Reads `Settings.seeds` from the environment, and what OpenTelemetry has names for."""

    def get_field_value(self, field: object, field_name: str) -> tuple[object, str, bool]:
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {}
        if traces := standard_values(os.environ):
            found["traces"] = traces
        for name, (section, setting) in Settings.seeds.items():
            value = os.environ.get(name)
            if value:
                found.setdefault(section, {})[setting] = value.upper() if setting == "log_level" else value
        return found


def config_path() -> Path:
    """The TOML file; it need not exist."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that name no setting: most likely misspelt."""
    sections = Settings.model_fields
    wrong: list[str] = []
    for name in environment:
        if not name.upper().startswith(PREFIX) or name.upper() == CONFIG_VARIABLE:
            continue
        if name.upper().startswith(TEST_PREFIX):
            continue
        section, *rest = name.upper().removeprefix(PREFIX).lower().split("__")
        field = sections.get(section)
        if field is None:
            wrong.append(name)
            continue
        model = field.annotation
        if (
            rest
            and isinstance(model, type)
            and issubclass(model, Section)
            and rest[0] not in model.model_fields
        ):
            wrong.append(name)
    return sorted(wrong)
