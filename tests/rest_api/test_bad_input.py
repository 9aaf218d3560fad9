"""A bad request is refused with a problem that names what is wrong, and never ends as a 500."""

import json
from typing import Any

import pytest

from rest_api.operations import PUBLIC
from tests.rest_api.workbench import AUTH, STREAM, Workbench

JSON = {"content-type": "application/json"}
MANY = {f"k{index}": "v" for index in range(65)}


def task(**fields: Any) -> bytes:
    return json.dumps({"instruction": "x", **fields}).encode()


BODIES: list[tuple[bytes, str, str]] = [
    (b"", "#", "INVALID_JSON"),
    (b"{", "#", "INVALID_JSON"),
    (b"nonsense", "#", "INVALID_JSON"),
    (b"[]", "#", "WRONG_TYPE"),
    (b"null", "#", "WRONG_TYPE"),
    (b'"text"', "#", "WRONG_TYPE"),
    (b"{}", "#/instruction", "REQUIRED"),
    (b'{"instruction": "\xff\xfe"}', "#", "INVALID_JSON"),
    (b'{"instruction": "\\ud800"}', "#", "INVALID_JSON"),
    (b'{"instruction": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", "#", "INVALID_JSON"),
    (task(instruction=""), "#/instruction", "REQUIRED"),
    (task(instruction="  \n"), "#/instruction", "REQUIRED"),
    (task(instruction=5), "#/instruction", "WRONG_TYPE"),
    (task(instruction=None), "#/instruction", "WRONG_TYPE"),
    (task(instruction="x" * 100_001), "#/instruction", "TOO_LONG"),
    (task(instruction="a\0b"), "#/instruction", "BAD_TEXT"),
    (task(instructions="x"), "#/instructions", "UNKNOWN_FIELD"),
    (task(agent_id="NOT AN ID"), "#/agent_id", "INVALID_ID"),
    (task(session_id="x" * 129), "#/session_id", "INVALID_ID"),
    (task(on_disconnect="explode"), "#/on_disconnect", "UNKNOWN_VALUE"),
    (task(metadata={"a": 1}), "#/metadata/a", "WRONG_TYPE"),
    (task(metadata={"a.b": "v" * 4_097}), "#/metadata/a.b", "TOO_LONG"),
    (task(metadata=MANY), "#/metadata", "TOO_MANY"),
    (task(configuration={"temperature": 3}), "#/configuration/temperature", "OUT_OF_RANGE"),
    (task(configuration={"temperature": "hot"}), "#/configuration/temperature", "WRONG_TYPE"),
    (
        b'{"instruction": "x", "configuration": {"temperature": NaN}}',
        "#/configuration/temperature",
        "OUT_OF_RANGE",
    ),
    (task(configuration={"max_output_tokens": 10**30}), "#/configuration/max_output_tokens", "OUT_OF_RANGE"),
    (task(configuration={"max_output_tokens": True}), "#/configuration/max_output_tokens", "WRONG_TYPE"),
    (task(configuration={"max_output_tokens": 1.5}), "#/configuration/max_output_tokens", "WRONG_TYPE"),
    (task(configuration={"model": "a b"}), "#/configuration/model", "INVALID_MODEL"),
    (task(configuration={"model_base_url": "file:///etc"}), "#/configuration/model_base_url", "INVALID_URL"),
    (task(configuration={"tools": "all"}), "#/configuration/tools", "WRONG_TYPE"),
    (task(configuration={"tools": [""]}), "#/configuration/tools/0", "REQUIRED"),
    (task(configuration={"limits": {"max_steps": 0}}), "#/configuration/limits/max_steps", "OUT_OF_RANGE"),
    (task(configuration={"limits": {"steps": 1}}), "#/configuration/limits/steps", "UNKNOWN_FIELD"),
]


@pytest.mark.parametrize(("body", "pointer", "reason"), BODIES)
async def test_a_bad_task_is_refused_at_the_field(
    bench: Workbench, body: bytes, pointer: str, reason: str
) -> None:
    answer = await bench.client.post("/v1/tasks", content=body, headers=JSON)

    problem = answer.json()
    assert answer.status_code == 400, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["reason"] == "INVALID_REQUEST"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert (pointer, reason) in [(error["pointer"], error["reason"]) for error in problem["errors"]]


DEEP: Any = []
for _ in range(64):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "arguments", [{"x": DEEP}, {"x": 10**400}, {"x": float("nan")}, {"x": float("inf")}, [], "{}"]
)
async def test_arguments_that_other_readers_could_not_take_are_refused(
    bench: Workbench, arguments: Any
) -> None:
    body = json.dumps({"action": "observe", "arguments": arguments}).encode()

    answer = await bench.client.post("/v1/sandboxes/sb_1:act", content=body, headers=JSON)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "#/arguments"


REQUESTS: list[tuple[str, str, int, str]] = [
    ("GET", "/", 404, "ROUTE_NOT_FOUND"),
    ("GET", "/v2/tasks", 404, "ROUTE_NOT_FOUND"),
    ("GET", "/v1/tasks/", 404, "ROUTE_NOT_FOUND"),
    ("GET", "/v1/tasks/a/b/c", 404, "ROUTE_NOT_FOUND"),
    ("GET", "/v1/tasks/%2e%2e%2fserver", 404, "ROUTE_NOT_FOUND"),
    ("POST", "/v1/tasks/x:explode", 404, "ROUTE_NOT_FOUND"),
    ("GET", "/v1/tasks/nope", 404, "NOT_FOUND"),
    ("GET", "/v1/tasks/a%00b", 404, "NOT_FOUND"),
    ("GET", "/v1/tasks/a%0Ab", 404, "NOT_FOUND"),
    ("GET", "/v1/tasks/%ff", 404, "NOT_FOUND"),
    ("GET", "/v1/tasks/" + "x" * 200, 404, "NOT_FOUND"),
    ("GET", "/v1/tasks/nope/events", 404, "NOT_FOUND"),
    ("GET", "/v1/tasks/nope/artifacts", 404, "NOT_FOUND"),
    ("DELETE", "/v1/tasks/nope", 404, "NOT_FOUND"),
    ("POST", "/v1/tasks/nope:pause", 404, "NOT_FOUND"),
    ("POST", "/v1/tasks/nope:cancel", 404, "NOT_FOUND"),
    ("GET", "/v1/sessions/nope", 404, "NOT_FOUND"),
    ("GET", "/v1/sessions/nope/transcript", 404, "NOT_FOUND"),
    ("GET", "/v1/sandboxes/nope", 404, "NOT_FOUND"),
    ("POST", "/v1/sandboxes/nope:screenshot", 404, "NOT_FOUND"),
    ("DELETE", "/v1/sandboxes/nope", 404, "NOT_FOUND"),
    ("GET", "/v1/artifacts/nope", 404, "NOT_FOUND"),
    ("GET", "/v1/artifacts/sha256:" + "0" * 64 + "/content", 404, "NOT_FOUND"),
    ("GET", "/v1/tools/nope", 404, "NOT_FOUND"),
    ("POST", "/v1/tools/nope:execute", 404, "NOT_FOUND"),
    ("GET", "/v1/agents/nope", 404, "NOT_FOUND"),
    ("DELETE", "/v1/agents/nope", 404, "NOT_FOUND"),
    ("DELETE", "/v1/agents/default", 409, "ILLEGAL_STATE"),
    ("GET", "/v1/tasks?page_size=-1", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?page_size=1001", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?page_size=many", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?page_size=1&page_size=2", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?cursor=nonsense", 400, "INVALID_CURSOR"),
    ("GET", "/v1/tasks?state=done", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?stat=queued", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?created_after=yesterday", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?created_after=2026-01-01T00:00:00", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?metadata=a", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?metadata.=a", 400, "INVALID_REQUEST"),
    ("GET", "/v1/tasks?session_id=" + "x" * 200, 400, "INVALID_REQUEST"),
    ("GET", "/v1/events?after=-1", 400, "INVALID_REQUEST"),
    ("GET", "/v1/events?after=99999999999999999999999", 400, "INVALID_REQUEST"),
    ("GET", "/v1/events?after=99", 400, "INVALID_CURSOR"),
    ("GET", "/v1/events?last_event_id=x", 400, "INVALID_CURSOR"),
    ("GET", "/v1/sessions?cursor=%00", 400, "INVALID_CURSOR"),
    ("GET", "/v1/tools?available_only=perhaps", 400, "INVALID_REQUEST"),
]


@pytest.mark.parametrize(("method", "path", "status", "reason"), REQUESTS)
async def test_a_bad_request_is_told_as_a_problem(
    bench: Workbench, method: str, path: str, status: int, reason: str
) -> None:
    answer = await bench.client.request(method, path)

    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


HEADERS: list[tuple[str, str, dict[str, str], int, str]] = [
    ("GET", "/v1/server", {"authorization": "Bearer wrong"}, 401, "UNAUTHENTICATED"),
    ("GET", "/v1/server", {"authorization": "Basic ZGVzazprZXk="}, 401, "UNAUTHENTICATED"),
    ("POST", "/v1/tasks", {"authorization": "Bearer wrong"}, 401, "UNAUTHENTICATED"),
    ("GET", "/v1/server", {"request-timeout": "soon"}, 400, "INVALID_REQUEST"),
    ("GET", "/v1/server", {"request-timeout": "0"}, 400, "INVALID_REQUEST"),
    ("GET", "/v1/server", {"request-timeout": "86401"}, 400, "INVALID_REQUEST"),
    ("POST", "/v1/tasks", {"idempotency-key": '"open'}, 400, "INVALID_REQUEST"),
    ("POST", "/v1/tasks", {"idempotency-key": f'"{"x" * 256}"'}, 400, "INVALID_REQUEST"),
    ("POST", "/v1/tasks", {"prefer": "wait=601"}, 400, "INVALID_REQUEST"),
    ("POST", "/v1/tasks", {"accept": "text/html"}, 406, "NOT_ACCEPTABLE"),
    ("GET", "/v1/server", {"accept": "image/png"}, 406, "NOT_ACCEPTABLE"),
    ("GET", "/v1/events", {"accept": "application/json"}, 406, "NOT_ACCEPTABLE"),
    ("GET", "/v1/events", {"last-event-id": "x"}, 400, "INVALID_CURSOR"),
    ("PUT", "/v1/agents/a", {"if-match": "x"}, 400, "INVALID_REQUEST"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "reason"), HEADERS)
async def test_a_bad_header_is_told_as_a_problem(
    bench: Workbench, method: str, path: str, headers: dict[str, str], status: int, reason: str
) -> None:
    body = {"instruction": "x"} if path == "/v1/tasks" else {} if method == "PUT" else None

    answer = await bench.client.request(method, path, json=body, headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (status, reason), answer.text


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_of_another_type_is_refused(bench: Workbench, content_type: str | None) -> None:
    """Also since a browser sends these across origins without asking first."""
    headers = {} if content_type is None else {"content-type": content_type}

    answer = await bench.client.post("/v1/tasks", content=task(), headers=headers)

    assert (answer.status_code, answer.json()["reason"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_that_may_be_absent_may_be_absent(bench: Workbench) -> None:
    task_id = await bench.submitted()

    answer = await bench.client.post(f"/v1/tasks/{task_id}:cancel")

    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


async def test_a_wrong_method_is_told_which_ones_are_right(bench: Workbench) -> None:
    answer = await bench.client.patch("/v1/tasks/task_1")

    assert (answer.status_code, answer.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "DELETE, GET"


async def test_admission_comes_before_anything_is_read(bench: Workbench) -> None:
    answer = await bench.client.post(
        "/v1/tasks", content=b"{", headers=JSON | {"authorization": "Bearer wrong"}
    )

    assert answer.status_code == 401


@pytest.mark.parametrize("cursor", ["-1", "x", "1 ", "99999999999999999999", "1e3", "٣"])
async def test_a_cursor_of_a_task_that_is_none_is_refused(bench: Workbench, cursor: str) -> None:
    task_id = await bench.submitted()

    answer = await bench.client.get(
        f"/v1/tasks/{task_id}/events", params={"last_event_id": cursor}, headers=STREAM
    )

    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_CURSOR")


async def test_a_cursor_that_the_journal_has_not_reached_is_refused(bench: Workbench) -> None:
    task_id = await bench.submitted()

    answer = await bench.client.get(f"/v1/tasks/{task_id}/events?after=99", headers=STREAM)

    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_CURSOR")


@pytest.mark.parametrize("answer", [{}, {"text": "a", "approved": True}])
async def test_an_answer_must_be_one_of_the_two(bench: Workbench, answer: dict[str, Any]) -> None:
    task_id = await bench.submitted()

    response = await bench.client.post(f"/v1/tasks/{task_id}/inputs/i", json=answer)

    assert (response.status_code, response.json()["reason"]) == (400, "INVALID_REQUEST")


async def test_nobody_may_come_in_without_a_credential(bench: Workbench) -> None:
    del bench.client.headers["authorization"]
    assert AUTH

    for route in bench.app.router.routes:
        path = getattr(route, "path_format", getattr(route, "path", ""))
        if getattr(route, "public", path in PUBLIC):
            continue
        for method in route.methods:  # pyright: ignore[reportAttributeAccessIssue]
            answer = await bench.client.request(method, path)
            assert answer.status_code == 401, f"{method} {path}"
