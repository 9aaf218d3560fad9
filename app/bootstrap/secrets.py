"""The secrets in the settings, so that nothing that the process writes repeats one."""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr


def secrets_of(settings: BaseModel) -> Iterator[str]:
    """Every secret value in the settings; of a URL its password, of `Bearer KEY` the key as well."""
    for name in type(settings).model_fields:
        yield from _secrets_in(getattr(settings, name))


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield from _readings(value.get_secret_value())
    elif isinstance(value, BaseModel):
        yield from secrets_of(value)
    elif isinstance(value, Mapping):
        for item in cast("Mapping[object, object]", value).values():
            yield from _secrets_in(item)
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for item in cast("Iterable[object]", value):
            yield from _secrets_in(item)


def _readings(secret: str) -> Iterator[str]:
    if "://" not in secret:
        yield secret
        yield secret.rpartition(" ")[2]
        return
    try:
        parts = urlsplit(secret)
        user, password = parts.username, parts.password
    except ValueError:
        return
    # One that is the user's name protects nothing, and hiding it would hide the name.
    if password and password != user:
        yield password
        yield unquote(password)
