"""What every make of shared buckets promises: the numbers of the domain's meter, exact across replicas."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from uuid import uuid4

import pytest

from app.domain.errors import StorageUnavailableError
from app.domain.rates import MICROSECONDS, Draw, Meter, Rate
from app.domain.secrets import Secret
from app.policy.buckets import Buckets, Guarded, Taken
from tests.contract.storage.conftest import Committed

REDIS = "GATEWAY_TEST_REDIS"
HOUR = 3_600

Opener = Callable[[], AbstractAsyncContextManager[Buckets]]
"""Opens the same buckets again, as another replica would."""


class MemoryBuckets:
    """The meter of one process, behind the port."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    async def take(self, draws: Sequence[Draw]) -> Taken:
        return self._meter.take(draws, time.monotonic_ns() // 1_000)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        yield


@pytest.fixture(
    params=[
        "memory",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("redis", marks=pytest.mark.optional("needs a Redis server")),
    ]
)
async def opener(request: pytest.FixtureRequest) -> Opener:
    make: Callable[[], Buckets]
    if request.param == "memory":
        meter = Meter()
        make = lambda: MemoryBuckets(meter)  # noqa: E731
    elif request.param == "postgres":
        from app.policy.buckets_postgres import PostgresBuckets
        from app.storage.postgres.opening import open_postgres

        url = request.getfixturevalue("postgres_url")
        async with open_postgres(url, on_commit=Committed()):
            pass
        make = lambda: PostgresBuckets(Secret(url))  # noqa: E731
    else:
        from app.policy.buckets_redis import RedisBuckets

        url = os.environ.get(REDIS) or pytest.skip(f"{REDIS} is not set (redis://127.0.0.1:6379/0)")
        prefix = f"test-{uuid4().hex}"
        make = lambda: RedisBuckets(Secret(url), prefix=prefix)  # noqa: E731

    @asynccontextmanager
    async def open_it() -> AsyncGenerator[Buckets]:
        buckets = make()
        async with asyncio.timeout(30), buckets.opened():
            yield buckets

    return open_it


async def test_a_rate_of_n_admits_exactly_n_of_a_thousand_on_three_replicas(opener: Opener) -> None:
    rate = Rate(100, HOUR)
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(opener()) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(replicas[number % 3].take([(("tenant", "a"), rate)]))
                for number in range(1_000)
            ]

    outcomes = [call.result() for call in calls]
    assert sum(admitted for admitted, _ in outcomes) == 100
    remaining = [rate.remaining(levels[0]) for admitted, levels in outcomes if admitted]
    assert sorted(remaining) == list(range(100))
    waits = [rate.wait_us(levels[0]) for admitted, levels in outcomes if not admitted]
    assert all(0 < wait <= rate.interval_us for wait in waits)


async def test_all_of_a_call_s_buckets_are_drawn_from_or_none(opener: Opener) -> None:
    wide, narrow = (("wide",), Rate(50, HOUR)), (("narrow",), Rate(10, HOUR))
    async with opener() as buckets:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(buckets.take([wide, narrow])) for _ in range(40)]
        _, levels = await buckets.take([wide])

    outcomes = [call.result() for call in calls]
    assert [len(found) for _, found in outcomes] == [2] * 40
    assert sum(admitted for admitted, _ in outcomes) == 10
    assert wide[1].remaining(levels[0]) == 50 - 10 - 1


async def test_a_bucket_refills_evenly_and_is_whole_again(opener: Opener) -> None:
    rate = Rate(20, 1)
    async with opener() as buckets:
        before = time.monotonic()
        outcomes = [await buckets.take([(("k",), rate)]) for _ in range(40)]
        while not (await buckets.take([(("k",), rate)]))[0]:
            await asyncio.sleep(0)
        admitted, took_s = sum(ok for ok, _ in outcomes) + 1, time.monotonic() - before

    assert 20 <= admitted <= 21 + took_s * 20


async def test_buckets_do_not_know_each_other(opener: Opener) -> None:
    one = Rate(1, HOUR)
    keys = [("p", "a", "b"), ("p", "a\x00b"), ("p", "ab", ""), ("p", "ä" * 300)]
    async with opener() as buckets:
        first = [(await buckets.take([(key, one)]))[0] for key in keys]
        again = [(await buckets.take([(key, one)]))[0] for key in keys]

    assert (first, again) == ([True] * 4, [False] * 4)


class Failing:
    """A store that is away, or says nothing, until `back`."""

    def __init__(self) -> None:
        self.asked = 0
        self.silent = False
        self.back = False

    async def take(self, draws: Sequence[Draw]) -> Taken:
        self.asked += 1
        if self.silent and not self.back:
            await asyncio.Event().wait()
        if not self.back:
            raise StorageUnavailableError("away")
        return True, [0] * len(draws)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        yield


@pytest.mark.parametrize("silent", [False, True])
async def test_while_the_store_is_away_an_open_one_counts_alone_and_asks_seldom(silent: bool) -> None:
    store, clock, failures = Failing(), [0], [0]
    store.silent = silent

    def failed() -> None:
        failures[0] += 1

    guarded = Guarded(store, timeout_s=0.05, on_outage="open", failed=failed, now_us=lambda: clock[0])
    draws = [(("k",), Rate(3, HOUR))]

    async with asyncio.timeout(5):
        outcomes = [(await guarded.take(draws))[0] for _ in range(10)]
        asked = store.asked
        store.back = True
        clock[0] += 2 * MICROSECONDS
        after = await guarded.take(draws)

    assert outcomes == [True] * 3 + [False] * 7
    assert (asked, failures[0]) == (1, 1)
    assert after == (True, [0])


async def test_while_the_store_is_away_a_shut_one_refuses() -> None:
    guarded = Guarded(Failing(), timeout_s=0.05, on_outage="closed")

    for _ in range(3):
        with pytest.raises(StorageUnavailableError):
            await guarded.take([(("k",), Rate(3, HOUR))])


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_a_server_that_is_not_there_is_an_outage_and_not_a_hang(kind: str, free_port: int) -> None:
    if kind == "postgres":
        from app.policy.buckets_postgres import PostgresBuckets

        buckets: Buckets = PostgresBuckets(Secret(f"postgresql://nobody@127.0.0.1:{free_port}/none"))
    else:
        from app.policy.buckets_redis import RedisBuckets

        buckets = RedisBuckets(Secret(f"redis://127.0.0.1:{free_port}/0"), prefix="none")
    async with asyncio.timeout(10), buckets.opened():
        for _ in range(2):
            with pytest.raises(StorageUnavailableError):
                await buckets.take([(("k",), Rate(1, HOUR))])
