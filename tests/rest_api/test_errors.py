"""Failures as problem documents."""

import inspect
import json
from datetime import timedelta

import pytest
from pydantic import ValidationError

from app.domain import errors as domain_errors
from app.domain import run_errors
from app.domain.errors import (
    DomainError,
    FieldViolation,
    InternalError,
    InvalidRequestError,
    Kind,
    QueueFullError,
    UnauthenticatedError,
)
from rest_api.errors import (
    FINER,
    STATUSES,
    HttpError,
    answer_of,
    invalid_body,
    pointer_of,
    problem_of,
    status_of,
)
from rest_api.schemas.problem import Problem
from rest_api.schemas.tasks import TaskIn


def reasons() -> set[str]:
    modules = (domain_errors, run_errors)
    classes = [item for module in modules for _, item in inspect.getmembers(module, inspect.isclass)]
    return {item.reason for item in classes if issubclass(item, DomainError)}


def test_every_kind_has_a_status() -> None:
    assert set(STATUSES) == set(Kind)


def test_every_finer_status_belongs_to_a_reason_that_exists() -> None:
    assert set(FINER) <= reasons()


def test_a_problem_has_every_standard_member_and_the_reason_of_grpc() -> None:
    violation = FieldViolation(
        field="configuration.limits.max_steps", description="too big", reason="OUT_OF_RANGE"
    )
    error = InvalidRequestError("configuration.limits.max_steps: too big", violations=[violation])

    problem = problem_of(error, instance="/v1/tasks", request_id="r1")

    assert problem == {
        "type": "https://agent-gateway.dev/problems/invalid-request",
        "title": "Invalid request",
        "status": 400,
        "detail": "configuration.limits.max_steps: too big",
        "instance": "/v1/tasks",
        "reason": "INVALID_REQUEST",
        "domain": "agent-gateway",
        "request_id": "r1",
        "errors": [
            {"detail": "too big", "pointer": "#/configuration/limits/max_steps", "reason": "OUT_OF_RANGE"}
        ],
    }
    assert Problem.model_validate(problem).reason == "INVALID_REQUEST"


def test_a_wait_is_told_in_the_header_and_in_the_body_rounded_up() -> None:
    error = QueueFullError("full", retry_after=timedelta(milliseconds=1_200))

    answer = answer_of(error, instance="/", request_id="r")

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert json.loads(bytes(answer.body))["retry_after"] == 2


def test_a_missing_credential_is_told_how_to_come_back() -> None:
    answer = answer_of(UnauthenticatedError("no"), instance="/", request_id="r")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_unexpected_error_tells_nothing_but_the_request_id() -> None:
    problem = problem_of(InternalError(), instance="/", request_id="r")

    assert status_of(InternalError()) == 500
    assert problem["request_id"] == "r"
    assert set(problem) == {
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "reason",
        "domain",
        "request_id",
    }


def test_a_message_that_is_no_unicode_text_is_told_with_marks_in_place() -> None:
    answer = answer_of(HttpError(400, "X", "odd \ud800 text"), instance="/", request_id="r")

    assert json.loads(bytes(answer.body))["detail"] == "odd ? text"


@pytest.mark.parametrize(
    ("field", "pointer"),
    [
        ("", "#"),
        ("instruction", "#/instruction"),
        ("actions.0.type", "#/actions/0/type"),
        ("metadata.a.b/c~d", "#/metadata/a.b~1c~0d"),
    ],
)
def test_a_field_becomes_a_json_pointer(field: str, pointer: str) -> None:
    assert pointer_of(field) == pointer


def test_what_a_caller_sent_is_not_repeated() -> None:
    body = b'{"instruction": "x", "configuration": {"model_api_key": ["sk-secret"]}}'

    with pytest.raises(ValidationError) as caught:
        TaskIn.model_validate_json(body)

    error = invalid_body(caught.value)
    assert "sk-secret" not in error.message + str(error.violations)
    assert error.violations[0].field == "configuration.model_api_key"
    assert error.violations[0].reason == "WRONG_TYPE"
