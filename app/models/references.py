"""Reading a model reference and an endpoint, both written by callers."""

import re
from urllib.parse import urlsplit

from app.domain.errors import InvalidRequestError
from app.domain.secrets import Secret
from app.models.base import ModelSpec
from app.models.providers import BY_NAME, COMPATIBLE, INTERPRETER, provider_of_model

MAX_NAME_CHARS = 200
MAX_URL_CHARS = 2_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
"""Model names: `gpt-5`, `qwen3:8b`, `org/model`, Ark's endpoint ids `ep-2024...`."""


def spec_of(
    reference: str,
    *,
    base_url: str | None = None,
    api_key: Secret | None = None,
    temperature: float | None = None,
    max_output_tokens: int | None = None,
) -> ModelSpec:
    """Read `provider:name`, a bare name, or `interpreter`.

    A bare name goes to the provider it is recognised by; an unrecognised one with a `base_url` to
    that endpoint as OpenAI-compatible. Raises InvalidRequestError.
    """
    provider, name = _parts(reference.strip(), has_endpoint=base_url is not None)
    return ModelSpec(
        provider=provider,
        name=name,
        base_url=checked_url(base_url) if base_url is not None else None,
        api_key=api_key or None,
        temperature=temperature,
        max_output_tokens=max_output_tokens,
    )


def checked_url(url: str) -> str:
    """The endpoint without a trailing slash. Raises InvalidRequestError unless it is a plain HTTP(S) URL."""
    field = "model_base_url"
    if len(url) > MAX_URL_CHARS:
        raise InvalidRequestError.of(field, f"longer than {MAX_URL_CHARS} characters")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise InvalidRequestError.of(field, "not a URL") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise InvalidRequestError.of(field, "must be an http or https URL with a host")
    if parts.username or parts.password:
        raise InvalidRequestError.of(field, "must not carry credentials; use model_api_key")
    if parts.query or parts.fragment:
        raise InvalidRequestError.of(field, "must have no query and no fragment")
    return url.rstrip("/")


def _parts(reference: str, *, has_endpoint: bool) -> tuple[str, str]:
    if reference == INTERPRETER:
        return INTERPRETER, ""
    if len(reference) > MAX_NAME_CHARS or not NAME.fullmatch(reference):
        raise InvalidRequestError.of("model", "must be provider:name, a model name, or interpreter")
    prefix, colon, name = reference.partition(":")
    if colon and (provider := BY_NAME.get(prefix.lower())):
        if not name:
            raise InvalidRequestError.of("model", f"names no model of provider {provider.name}")
        return provider.name, name
    if inferred := provider_of_model(reference):
        return inferred.name, reference
    if has_endpoint:
        return COMPATIBLE, reference
    known = ", ".join(sorted({provider.name for provider in BY_NAME.values()}))
    raise InvalidRequestError.of(
        "model", f"no provider is known for it; write provider:name with one of {known}", "UNKNOWN_PROVIDER"
    )
