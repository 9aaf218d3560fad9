"""Use cases of the tenant's global configuration, and the merge every task goes through."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Protocol

from app.domain.call import CallContext
from app.domain.configuration import GlobalConfiguration, TaskConfiguration, merged
from app.domain.errors import NotConfiguredError, StaleVersionError
from app.domain.identity import TenantId
from app.domain.secrets import MASK, Secret
from app.service.inputs import check_configuration
from app.storage.base import ConfigurationStore

_CACHE_S = 1.0
"""Seconds another replica's change may go unnoticed."""
_CACHED_TENANTS = 1_024


class Sealer(Protocol):
    """Authenticated encryption for what must be kept secret at rest."""

    def seal(self, value: bytes) -> bytes:
        """Encrypt."""
        ...

    def unseal(self, token: bytes) -> bytes:
        """Decrypt. Raises NotConfiguredError when the key is not (or no longer) known."""
        ...


def sealed(sealer: Sealer | None, key: Secret) -> bytes:
    """The key encrypted. Raises NotConfiguredError without an encryption key."""
    if sealer is None:
        raise NotConfiguredError(
            "keys in requests need GATEWAY_SECRETS__KEYS on every replica", setting="secrets.keys"
        )
    return sealer.seal(key.reveal().encode())


class ConfigurationUseCases:
    """Read, replace and merge configurations."""

    def __init__(
        self,
        store: ConfigurationStore,
        *,
        defaults: TaskConfiguration,
        sealer: Sealer | None,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._defaults = defaults
        self._sealer = sealer
        self._now = now
        self._cache: dict[TenantId, tuple[float, GlobalConfiguration]] = {}

    async def get(self, call: CallContext) -> GlobalConfiguration:
        """The tenant's configuration; its key, when set, reads as the mask."""
        return _masked(await self._load(call.tenant))

    async def update(
        self, call: CallContext, values: TaskConfiguration, *, expected_version: int | None = None
    ) -> GlobalConfiguration:
        """Replace the configuration; a key of `********` keeps the stored one.

        Raises InvalidRequestError, StaleVersionError.
        """
        check_configuration(values)
        current = await self._load(call.tenant, fresh=True)
        if expected_version is not None and expected_version != current.version:
            raise StaleVersionError(
                "the configuration was changed by somebody else",
                resource="configuration",
                version=current.version,
            )
        key = values.model_api_key
        if key is not None and key.reveal() == MASK:
            key = current.values.model_api_key
        saved = await self._store.save(
            call.tenant,
            replace(current, values=replace(values, model_api_key=None), updated_at=self._now()),
            sealed(self._sealer, key) if key else None,
            expected_version=current.version,
        )
        saved = replace(saved, values=replace(saved.values, model_api_key=key))
        self._keep(call.tenant, saved)
        return _masked(saved)

    async def effective(self, call: CallContext, *layers: TaskConfiguration) -> TaskConfiguration:
        """The process' defaults, the tenant's configuration and `layers`, merged in that order."""
        result = merged(self._defaults, (await self._load(call.tenant)).values)
        for layer in layers:
            result = merged(result, layer)
        return result

    async def _load(self, tenant: TenantId, *, fresh: bool = False) -> GlobalConfiguration:
        cached = self._cache.get(tenant)
        if cached and not fresh and monotonic() - cached[0] < _CACHE_S:
            return cached[1]
        configuration, token = await self._store.load(tenant)
        if token is not None and self._sealer is not None:
            key = Secret(self._sealer.unseal(token).decode())
            configuration = replace(configuration, values=replace(configuration.values, model_api_key=key))
        self._keep(tenant, configuration)
        return configuration

    def _keep(self, tenant: TenantId, configuration: GlobalConfiguration) -> None:
        if len(self._cache) >= _CACHED_TENANTS:
            self._cache.clear()
        self._cache[tenant] = (monotonic(), configuration)


def _masked(configuration: GlobalConfiguration) -> GlobalConfiguration:
    if configuration.values.model_api_key is None:
        return configuration
    return replace(configuration, values=replace(configuration.values, model_api_key=Secret(MASK)))
