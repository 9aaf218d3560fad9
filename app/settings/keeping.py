"""What is kept, where, for how long, and how it is kept secret."""

from base64 import urlsafe_b64decode
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.settings.sections import Seconds, Section


class StorageSettings(Section):
    """Where tasks and events are kept."""

    backend: Literal["sqlite", "postgres"] = "sqlite"
    """`sqlite` for one process, `postgres` for one or more (extra `postgres`)."""
    data_dir: Path = Path("data")
    """Database, artifacts and workspaces of this process; one process per folder."""
    postgres_url: SecretStr | None = None
    """postgresql://user:password@host:5432/database"""
    postgres_schema: str = Field(default="public", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    """Where our tables are; made when it is missing. Replicas that share tasks share it."""
    postgres_pool_size: int = Field(default=10, ge=2, le=200)
    """Connections for reads; task writes, queue and wake-ups have a few of their own besides."""
    max_artifact_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """The largest file or screenshot that is kept."""

    @model_validator(mode="after")
    def _postgres_needs_a_url(self) -> Self:
        if self.backend == "postgres" and self.postgres_url is None:
            raise ValueError("storage.postgres_url is required with storage.backend=postgres")
        if self.postgres_url is not None and not _is_postgres(self.postgres_url.get_secret_value()):
            raise ValueError("storage.postgres_url must be postgresql://user:password@host:5432/database")
        return self


class RetentionSettings(Section):
    """What is forgotten when."""

    keep_ended: Seconds = timedelta(days=30)
    """Ended tasks, their events and artifacts."""
    events_per_task: int = Field(default=100_000, ge=100)
    """Older ones are trimmed; readers are told of the gap."""


class SecretsSettings(Section):
    """Encryption of what must be secret at rest."""

    keys: tuple[SecretStr, ...] = ()
    """Fernet keys, newest first (older ones still decrypt). SQLite makes its own if none is given."""

    @field_validator("keys")
    @classmethod
    def _are_fernet_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in keys:
            try:
                decoded = urlsafe_b64decode(key.get_secret_value())
            except ValueError:
                decoded = b""
            if len(decoded) != 32:
                raise ValueError("a key is not 32 bytes in URL-safe base64")
        return keys


def _is_postgres(url: str) -> bool:
    """Whether it is a URL of PostgreSQL; drivers that are given another one tell it, password and all."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"postgresql", "postgres"} and bool(parts.netloc or parts.query)
