"""There is one way in: whatever is served asks admission first, or is on a short public list."""

from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from app.domain.call import CallContext
from app.domain.errors import PermissionDeniedError
from app.policy.admission import Admission, CallHead
from app.policy.authentication.chain import OpenAuthenticator
from grpc_service.interceptors.gate import PUBLIC_METHODS
from grpc_service.server import SERVED_SERVICES
from rest_api.operations import OPERATIONS, PUBLIC, REST_ONLY, STREAMED
from tests.grpc_service import workbench as over_grpc
from tests.rest_api import workbench as over_rest


class NobodyComesIn(Admission):
    """Keeps what it is asked and refuses it."""

    def __init__(self) -> None:
        super().__init__(OpenAuthenticator())
        self.asked: list[CallHead] = []

    async def admit(self, head: CallHead) -> CallContext:
        self.asked.append(head)
        raise PermissionDeniedError("nobody comes in")


def test_the_public_lists_are_short() -> None:
    services = {method.split("/")[1] for method in PUBLIC_METHODS}

    assert services == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert services.isdisjoint(SERVED_SERVICES)
    page = {"/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"}
    assert {"/healthz/live", "/healthz/ready", "/metrics", "/openapi.json", *page} == PUBLIC
    assert PUBLIC.isdisjoint(path for _, path in OPERATIONS.values())


async def test_every_rpc_asks_admission_once_under_its_name(tmp_path: Path) -> None:
    admission = NobodyComesIn()
    async with over_grpc.open_workbench(tmp_path, admission=admission) as bench:
        methods = bench.server.methods - PUBLIC_METHODS
        for method in sorted(methods):
            call = bench.channel.unary_stream(method)(b"", metadata=over_grpc.AUTH, timeout=10)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call.read()
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED, method

    assert [f"/agentgateway.v1.{head.method}" for head in admission.asked] == sorted(methods)
    assert {head.method for head in admission.asked} == set(OPERATIONS)


async def test_every_route_asks_admission_once_under_the_name_of_its_rpc(tmp_path: Path) -> None:
    admission = NobodyComesIn()
    public: set[str] = set()
    async with over_rest.open_workbench(tmp_path, admission=admission) as bench:
        for route in bench.app.router.routes:
            served: Any = route
            path: str = getattr(served, "path_format", None) or served.path
            if path in PUBLIC:
                public.add(path)
                continue
            for method in served.methods:
                for accept in ("application/json", "text/event-stream"):
                    before = len(admission.asked)
                    answer = await bench.client.request(method, path, headers={"accept": accept})
                    if answer.status_code == 406:
                        assert len(admission.asked) == before
                        continue
                    assert answer.status_code == 403, f"{method} {path}"
                    assert len(admission.asked) == before + 1, f"{method} {path}"
        for path in sorted(PUBLIC):
            assert (await bench.client.get(path)).status_code == 200

    assert public == PUBLIC
    assert {head.method for head in admission.asked} == {*OPERATIONS, *REST_ONLY}
    assert set(STREAMED.values()) < {head.method for head in admission.asked}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/none", "/v1/tasks/a/none", "/static/x.js", "//v1/tasks"])
async def test_what_is_not_served_is_not_found_without_asking(tmp_path: Path, path: str) -> None:
    admission = NobodyComesIn()
    async with over_rest.open_workbench(tmp_path, admission=admission) as bench:
        answer = await bench.client.get(path)

    assert (answer.status_code, answer.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert admission.asked == []
