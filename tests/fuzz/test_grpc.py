"""Every gRPC method with made-up messages, mangled bytes and hostile metadata: a typed status, always."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from tests.fuzz.messages import made_up, mangled, nested
from tests.parity.drivers import SERVICES
from tests.processes import gateway_process

ROUNDS = 60
"""Calls of each method; a third of them are mangled bytes."""
AT_ONCE = 16
MOST_MESSAGES = 3
CALL_S = 20.0
OURS_TO_BLAME = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
METADATA = (
    (),
    (("authorization", "Bearer " + "x" * 2_000),),
    (("x-api-key", "\x20"),),
    (("traceparent", "00-zz-zz-01"), ("tracestate", "=" * 300)),
    (("x-request-id", "../" * 40),),
    (("x-bytes-bin", b"\x00\xff" * 200),),
    (("x-request-id", "same"), ("x-request-id", "twice")),
)
METHODS = [
    pytest.param(f"/{service.full_name}/{method.name}", method, id=f"{service.name}/{method.name}")
    for service in SERVICES.values()
    for method in service.methods
]


@pytest.mark.timeout(300)
async def test_no_method_ever_answers_with_an_unexpected_error(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    codes: Counter[str] = Counter()
    blamed: list[str] = []
    async with (
        gateway_process(tmp_path / "data", GATEWAY_ENGINE__MAX_CONCURRENT_TASKS="4") as gateway,
        grpc.aio.insecure_channel(gateway.grpc) as channel,
    ):
        known: list[str] = []
        gate = asyncio.Semaphore(AT_ONCE)

        async def once(path: str, method: MethodDescriptor, number: int) -> None:
            dice = random.Random(f"{seed} {path} {number}")
            raw = made_up(method.input_type, dice, known).SerializeToString()
            if number % 3 == 0:
                raw = mangled(raw, dice)
            elif number == 1:
                raw = nested(2_000)
            async with gate:
                code, told = await _call(channel, path, method, raw, dice.choice(METADATA), known)
            codes[code.name] += 1
            if code in OURS_TO_BLAME:
                blamed.append(f"{path} {number}: {code.name} {told}")

        async with asyncio.TaskGroup() as group:
            for number in range(ROUNDS):
                for parameters in METHODS:
                    path, method = parameters.values
                    group.create_task(once(path, method, number))  # pyright: ignore[reportArgumentType]
        assert gateway.complaints() == []
    print(dict(codes))
    assert blamed == []
    assert min(codes["OK"], codes["INVALID_ARGUMENT"]) > ROUNDS  # it reaches past the door


async def _call(
    channel: Any, path: str, method: MethodDescriptor, raw: bytes, metadata: Any, known: list[str]
) -> tuple[grpc.StatusCode, str]:
    """The status of one call; ids in its answer become known."""
    try:
        if method.server_streaming:
            call = channel.unary_stream(path)(raw, timeout=CALL_S, metadata=metadata)
            for _ in range(MOST_MESSAGES):
                try:
                    async with asyncio.timeout(0.5):
                        answer = await call.read()
                except TimeoutError:
                    break
                if not isinstance(answer, bytes):
                    break
            if not call.done():
                call.cancel()
                return grpc.StatusCode.OK, ""
            return await call.code(), await call.details() or ""
        answer = await channel.unary_unary(path)(raw, timeout=CALL_S, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    _learn(GetMessageClass(method.output_type).FromString(answer), known)
    return grpc.StatusCode.OK, ""


def _learn(message: Any, known: list[str]) -> None:
    for field, value in message.ListFields():
        if field.name == "id" or field.name.endswith("_id") or field.name == "digest":
            known.append(str(value))
        elif field.message_type is not None and not field.is_repeated:
            _learn(value, known)
