"""The command line: `agent-gateway serve | doctor | config | keys | budgets | audit | version`."""

import inspect
import json
import os
import sys
from importlib.metadata import version as installed_version
from tomllib import TOMLDecodeError
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from pydantic_settings import SettingsError

from app.cli.audit import audit
from app.cli.budgets import budgets
from app.cli.keys import keys
from app.settings import PREFIX, Settings, config_path, unknown_variables
from app.settings.sections import Section

if TYPE_CHECKING:
    from app.bootstrap.gateway import Gateway

cli = typer.Typer(
    name="agent-gateway",
    help="Puts AI agents behind gRPC, REST and SSE, over one domain layer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config = typer.Typer(help="See the settings.", no_args_is_help=True)
cli.add_typer(config, name="config")
cli.add_typer(keys, name="keys")
cli.add_typer(budgets, name="budgets")
cli.add_typer(audit, name="audit")

EXIT_CONFIGURATION = 78
"""sysexits.h EX_CONFIG: the settings are at fault."""
EXIT_UNAVAILABLE = 69
"""sysexits.h EX_UNAVAILABLE: something the start needs is not there."""
_NEEDS_PSK = "ECDHE-PSK-CHACHA20-POLY1305"
"""A cipher of TLS 1.2 that needs a key known before: with no other, nobody can speak TLS 1.2."""


def main() -> None:
    """The entry point of the `agent-gateway` command."""
    # Sandboxes are subprocesses; without this gRPC writes a line for each (grpc issue 37710).
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    cli()


@cli.command()
def serve(
    rest_port: Annotated[int | None, typer.Option(help="Overrides GATEWAY_REST__PORT.")] = None,
    grpc_port: Annotated[int | None, typer.Option(help="Overrides GATEWAY_GRPC__PORT.")] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain."""
    overrides: dict[str, Any] = {}
    if rest_port is not None:
        overrides["rest"] = {"port": rest_port}
    if grpc_port is not None:
        overrides["grpc"] = {"port": grpc_port}
    settings = load_settings(**overrides)
    if settings.tls.minimum_version == "1.3":
        # All that gRPC lets one say about versions, and it reads this once, when it is imported.
        os.environ["GRPC_SSL_CIPHER_SUITES"] = _NEEDS_PSK

    from app import process
    from app.bootstrap.gateway import open_gateway
    from app.domain.errors import DomainError
    from app.telemetry.logging import configure_logging

    configure_logging(settings.telemetry.log_level, style=settings.telemetry.log_format)
    try:
        process.run(lambda: process.serve(open_gateway(settings), announce=_announce))
    except (DomainError, OSError) as error:
        fail(f"cannot start: {error}", EXIT_UNAVAILABLE)
    except BaseExceptionGroup as group:
        expected, rest = group.split((DomainError, OSError))
        if expected is None or rest is not None:
            raise
        fail(f"cannot start: {_first(expected)}", EXIT_UNAVAILABLE)


@cli.command()
def doctor() -> None:
    """Say what works here, what does not, and how to make it work."""
    settings = load_settings()
    from app import process
    from app.bootstrap.doctor import examine

    findings = process.run(lambda: examine(settings))
    for finding in findings:
        typer.echo(f"{finding.mark:<4} {finding.subject:<24} {finding.detail}")
        if finding.remedy:
            typer.echo(f"     {'':<24} -> {finding.remedy}")
    if any(finding.mark == "FAIL" for finding in findings):
        raise typer.Exit(1)


@config.command("show")
def config_show() -> None:
    """Print the settings in force, secrets masked, as JSON."""
    typer.echo(json.dumps(load_settings().model_dump(mode="json"), indent=2))


@config.command("reference")
def config_reference() -> None:
    """Print the table of all settings (docs/settings.md) as Markdown."""
    typer.echo(settings_reference(), nl=False)


@cli.command()
def version() -> None:
    """Print the version."""
    typer.echo(installed_version("agent-gateway"))


def load_settings(**overrides: Any) -> Settings:
    """The settings; on a wrong one, exit naming it."""
    misspelt = unknown_variables(os.environ)
    if misspelt:
        fail(
            f"no such setting: {', '.join(misspelt)} (see `agent-gateway config reference`)",
            EXIT_CONFIGURATION,
        )
    try:
        return Settings(**overrides)
    except SettingsError as error:
        fail(f"{error}: it is not valid JSON", EXIT_CONFIGURATION)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in wrong["loc"])
            typer.echo(f"setting {name or '(all)'}: {wrong['msg'].removeprefix('Value error, ')}", err=True)
        raise typer.Exit(EXIT_CONFIGURATION) from None
    except TOMLDecodeError as error:
        fail(f"{config_path()} is not valid TOML: {error}", EXIT_CONFIGURATION)


def settings_reference() -> str:
    """Every setting, its variable, default and meaning, as Markdown."""
    lines = [
        "# Settings",
        "",
        "Generated by `agent-gateway config reference`; do not edit.",
        "",
        "Read from the environment, `.env`, then `agent-gateway.toml` (`GATEWAY_CONFIG` names another file).",
        "Durations are ISO 8601 (`PT5S`), `HH:MM:SS` or seconds; lists and tables are JSON.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            lines += _table(name, section)
    lines += ["## Names of other services", "", "Read as well where they mean the same thing; ours win.", ""]
    lines += ["| variable | stands for |", "|---|---|"]
    lines += [f"| `{seed}` | `{_variable(*target)}` |" for seed, target in Settings.seeds.items()]
    return "\n".join(lines) + "\n"


def _table(name: str, section: type[Section]) -> list[str]:
    """One section, and after it those inside it."""
    lines = [
        f"## {name}",
        "",
        inspect.cleandoc(section.__doc__ or ""),
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    inner = {key: found for key, field in section.model_fields.items() if (found := _section(field))}
    lines += [_row(name, key, section) for key in section.model_fields if key not in inner]
    lines.append("")
    for key, found in inner.items():
        lines += _table(f"{name}.{key}", found)
    return lines


def _section(field: FieldInfo) -> type[Section] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _row(section: str, key: str, model: type[BaseModel]) -> str:
    field = model.model_fields[key]
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = "" if default is None or isinstance(default, SecretStr) else f"`{_plain(default)}`"
    meaning = " ".join((field.description or "").split())
    return f"| `{_variable(section, key)}` | {shown} | {meaning} |"


def _plain(value: object) -> str:
    """As one would write it into the environment."""
    plain = to_jsonable_python(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def _variable(section: str, key: str) -> str:
    return f"{PREFIX}{section}__{key}".replace(".", "__").upper()


def _announce(gateway: "Gateway") -> None:
    for line in gateway.banner:
        typer.echo(line, err=True)


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong, and end with that code."""
    typer.echo(message, err=True)
    sys.exit(code)
