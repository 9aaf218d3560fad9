"""`Buckets` over Redis: one script for each take, and a batch of them in one round trip.

A bucket that is whole has no key: it expires by itself.
"""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError

from app.domain.errors import StorageUnavailableError
from app.domain.rates import Draw
from app.domain.secrets import Secret
from app.policy.batches import Batches
from app.policy.buckets import Taken, name_of

TIMEOUT_S = 5.0
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local levels, admitted = {}, 1
for i, key in ipairs(KEYS) do
  levels[i] = math.max(tonumber(redis.call('GET', key) or 0) - now, 0)
  if levels[i] + tonumber(ARGV[2 * i - 1]) > tonumber(ARGV[2 * i]) then admitted = 0 end
end
if admitted == 1 then
  for i, key in ipairs(KEYS) do
    levels[i] = levels[i] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', key, string.format('%.0f', now + levels[i]), 'PX', math.ceil(levels[i] / 1000))
  end
end
return {admitted, unpack(levels)}
"""


class RedisBuckets:
    """See `Buckets`."""

    def __init__(self, url: Secret, *, prefix: str) -> None:
        """`prefix` is what replicas share; on a cluster it keeps all buckets in one slot."""
        self._prefix = f"{{{prefix}}}:"
        self._client: Any = redis.asyncio.Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url.reveal(), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, max_connections=2
        )
        self._script: Any = self._client.register_script(_TAKE)
        self._batches = Batches(self._carry)

    async def take(self, draws: Sequence[Draw]) -> Taken:
        """See `Buckets`."""
        return await self._batches.take(draws)

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """See `Buckets`."""
        try:
            async with self._batches.carried():
                yield
        finally:
            with contextlib.suppress(RedisError, OSError):
                await self._client.aclose()

    async def _carry(self, takes: list[Sequence[Draw]]) -> list[Taken]:
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for draws in takes:
                    keys = [self._prefix + name_of(key) for key, _ in draws]
                    numbers = [number for _, rate in draws for number in (rate.interval_us, rate.span_us)]
                    await self._script(keys=keys, args=numbers, client=pipe)
                answers: list[list[int]] = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise StorageUnavailableError(f"Redis: {type(error).__name__}") from error
        return [(answer[0] == 1, answer[1:]) for answer in answers]
