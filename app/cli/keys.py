"""`agent-gateway keys`: the operator makes, lists, rotates and revokes API keys.

Works on the store itself, beside a running server or without one: so the first key of all is made. The text
of a key goes to standard output, once, and everything said about it to standard error:
`KEY=$(agent-gateway keys create --scope '*')`.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from app.bootstrap.keys import OperatorsKeys
    from app.domain.credentials import ApiKey, IssuedKey

T = TypeVar("T")

keys = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="Whose keys.")]
KeyIdArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="`key_...`, as `keys list` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]
MAX_TENANT_CHARS = 64


@keys.command("create")
def create(
    scope: Annotated[
        list[str],
        typer.Option(help="What it may do: `tasks:read`, `tasks:*`, `*`. Give one option for each."),
    ],
    tenant: Tenant = "default",
    subject: Annotated[str, typer.Option(help="For whom it speaks.")] = "operator",
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    expires_in: Annotated[
        str | None, typer.Option(help="How long it is good: `P90D`, `PT12H`, seconds. Without: no end.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="The same as a time: `2027-01-01T00:00:00Z`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its text, which is kept nowhere."""
    from app.domain.identity import TenantId
    from app.service.keys import NewKey

    if not 0 < len(tenant) <= MAX_TENANT_CHARS:
        raise typer.BadParameter(f"--tenant must have 1 to {MAX_TENANT_CHARS} characters")
    new = NewKey(scopes=tuple(scope), name=name, subject=subject, expires_at=_end(expires_in, expires_at))

    async def make(found: "OperatorsKeys") -> "IssuedKey":
        return await found.create(TenantId(tenant), new)

    _print_issued(_with_keys(make), as_json=as_json)


@keys.command("list")
def list_(tenant: Tenant = "default", as_json: AsJson = False) -> None:
    """Print the keys, newest first, with those that were revoked or have expired."""
    from datetime import UTC, datetime

    from app.domain.identity import TenantId

    async def read(found: "OperatorsKeys") -> "list[ApiKey]":
        return await found.of(TenantId(tenant))

    listed = _with_keys(read)
    if as_json:
        typer.echo(json.dumps([_document(key) for key in listed], indent=2, ensure_ascii=False))
        return
    now = datetime.now(UTC)
    typer.echo(f"{'id':<30} {'prefix':<11} {'state':<8} {'subject':<16} {'last used':<16} scopes")
    for key in listed:
        used, scopes = _shown(key.last_used_at), " ".join(sorted(key.scopes))
        typer.echo(
            f"{key.id:<30} {key.prefix:<11} {_state(key, now):<8} {key.subject:<16} {used:<16} {scopes}"
        )


@keys.command("rotate")
def rotate(
    key_id: KeyIdArgument,
    overlap: Annotated[str, typer.Option(help="How long the old text stays good: `P1D`, seconds.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Give a key a new text and print it; id, prefix, scopes and expiry stay."""
    overlap_s = int(_duration("--overlap", overlap).total_seconds())

    async def renew(found: "OperatorsKeys") -> "IssuedKey":
        from app.domain.ids import KeyId

        return await found.rotate(KeyId(key_id), overlap_s=overlap_s)

    _print_issued(_with_keys(renew), as_json=as_json)


@keys.command("revoke")
def revoke(key_id: KeyIdArgument, as_json: AsJson = False) -> None:
    """End a key: on running servers within `auth.key_cache`. It stays in the list."""

    async def end(found: "OperatorsKeys") -> "ApiKey":
        from app.domain.ids import KeyId

        return await found.revoke(KeyId(key_id))

    key = _with_keys(end)
    typer.echo(json.dumps(_document(key), indent=2) if as_json else f"revoked {key.id} ({key.prefix})")


def _with_keys(use: "Callable[[OperatorsKeys], Coroutine[Any, Any, T]]") -> T:
    from app.bootstrap.keys import operators_keys
    from app.cli import EXIT_UNAVAILABLE, fail, load_settings
    from app.domain.errors import DomainError, InvalidRequestError, StorageUnavailableError

    settings = load_settings()

    async def run() -> T:
        async with operators_keys(settings) as found:
            return await use(found)

    try:
        return asyncio.run(run())
    except InvalidRequestError as error:
        said = "; ".join(f"{wrong.field} {wrong.description}" for wrong in error.violations)
        raise typer.BadParameter(said or error.message) from None
    except (StorageUnavailableError, OSError) as error:
        fail(str(error), EXIT_UNAVAILABLE)
    except DomainError as error:
        fail(error.message, 1)


def _end(expires_in: str | None, expires_at: str | None) -> "datetime | None":
    from datetime import UTC, datetime

    from pydantic import AwareDatetime, TypeAdapter, ValidationError

    if expires_in is not None and expires_at is not None:
        raise typer.BadParameter("give --expires-in or --expires-at, not both")
    if expires_in is not None:
        try:
            return datetime.now(UTC) + _duration("--expires-in", expires_in)
        except OverflowError:
            raise typer.BadParameter("--expires-in is too long") from None
    if expires_at is None:
        return None
    try:
        return TypeAdapter(AwareDatetime).validate_python(expires_at)
    except ValidationError:
        raise typer.BadParameter("--expires-at must be a time with its zone: 2027-01-01T00:00:00Z") from None


def _duration(option: str, text: str) -> "timedelta":
    from datetime import timedelta

    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(timedelta).validate_python(float(text) if _is_number(text) else text)
    except (ValidationError, OverflowError):
        raise typer.BadParameter(f"{option} must be ISO 8601 (P90D, PT12H), HH:MM:SS or seconds") from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdigit()


def _print_issued(issued: "IssuedKey", *, as_json: bool) -> None:
    key = issued.key
    if as_json:
        told = {"key": _document(key), "secret": issued.secret.reveal()}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for label, value in (
        ("key", key.id),
        ("tenant", key.tenant),
        ("subject", key.subject),
        ("scopes", " ".join(sorted(key.scopes))),
        ("expires", _shown(key.expires_at)),
    ):
        typer.echo(f"{label:<8} {value}", err=True)
    if key.previous_until is not None:
        typer.echo(f"{'before':<8} good until {_shown(key.previous_until)}", err=True)
    typer.echo("Keep this text: it is shown once.", err=True)
    typer.echo(issued.secret.reveal())


def _document(key: "ApiKey") -> dict[str, object]:
    """As the REST API shows it, and whose it is."""
    from rest_api.schemas.keys import ApiKeyOut

    shown = ApiKeyOut.from_domain(key).model_dump(mode="json", exclude_none=True)
    return {"tenant": key.tenant, **shown}


def _state(key: "ApiKey", now: "datetime") -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.ended(now) else "good"


def _shown(at: "datetime | None") -> str:
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M}"
