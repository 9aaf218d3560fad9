"""`ConfigurationStore` for both makes."""

from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import exc

from app.domain.configuration import GlobalConfiguration
from app.domain.errors import StaleVersionError
from app.domain.identity import TenantId
from app.storage.codec import (
    decode_configuration,
    encode_configuration,
    from_us_or_none,
    to_us_or_none,
)
from app.storage.schema import configurations
from app.storage.sql.database import Database


class SqlConfigurationStore:
    """See `ConfigurationStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, tenant: TenantId) -> tuple[GlobalConfiguration, bytes | None]:
        """See `ConfigurationStore`."""
        query = sa.select(configurations).where(configurations.c.tenant == tenant)
        row = await self._database.read(lambda db: db.execute(query).first())
        if row is None:
            return GlobalConfiguration(), None
        configuration = GlobalConfiguration(
            values=decode_configuration(row.body),
            version=row.version,
            updated_at=from_us_or_none(row.updated_at),
        )
        return configuration, row.sealed

    async def save(
        self,
        tenant: TenantId,
        configuration: GlobalConfiguration,
        sealed_key: bytes | None,
        *,
        expected_version: int,
    ) -> GlobalConfiguration:
        """See `ConfigurationStore`."""
        values = replace(configuration.values, model_api_key=None)
        stored = replace(configuration, values=values, version=expected_version + 1)
        columns = {
            "version": stored.version,
            "updated_at": to_us_or_none(stored.updated_at),
            "sealed": sealed_key,
            "body": encode_configuration(stored.values),
        }
        stale = StaleVersionError(f"the configuration is not at version {expected_version} any more")

        def put(db: sa.Connection) -> None:
            if expected_version == 0:
                try:
                    db.execute(sa.insert(configurations).values(tenant=tenant, **columns))
                except exc.IntegrityError:
                    raise stale from None
                return
            update = sa.update(configurations).where(
                configurations.c.tenant == tenant, configurations.c.version == expected_version
            )
            if db.execute(update.values(columns)).rowcount == 0:
                raise stale

        await self._database.write(put)
        return stored
