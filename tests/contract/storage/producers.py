"""A program that writes as fast as it can and says what was acknowledged, until it is killed.

Usage: producers.py sqlite PATH | postgres URL
"""

import asyncio
import os
import sys
from pathlib import Path

from app.storage.base import Stores
from app.storage.sqlite.opening import open_sqlite
from tests.contract.storage.values import running, said

PRODUCERS = 16


async def produce(stores: Stores, number: int) -> None:
    task = await running(stores)
    for n in range(1_000_000):
        told = await stores.tasks.update(task.id, said(f"{number}/{n}", messages=(b"m",)), epoch=1)
        os.write(1, f"{told.id} {told.last_seq}\n".encode())
        if n % 40 == 39:
            task = await running(stores)


async def main(backend: str, where: str) -> None:
    if backend == "sqlite":
        opened = open_sqlite(Path(where), on_commit=lambda events, queue: None)
    else:
        from app.storage.postgres.opening import open_postgres

        opened = open_postgres(where, on_commit=lambda events, queue: None)
    async with opened as stores, asyncio.TaskGroup() as group:
        for number in range(PRODUCERS):
            group.create_task(produce(stores, number))


asyncio.run(main(*sys.argv[1:]))
