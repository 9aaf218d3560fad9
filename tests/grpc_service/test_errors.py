"""Failures as gRPC statuses."""

from datetime import timedelta
from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from app.domain import errors, run_errors
from app.domain.errors import (
    DomainError,
    FieldViolation,
    InternalError,
    InvalidRequestError,
    Kind,
    NotFoundError,
    RateLimitedError,
)
from grpc_service.errors import CODES, status_of

TRAILERS = 8 * 1024


def details(status: status_pb2.Status) -> dict[str, Any]:
    kinds: tuple[Any, ...] = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RequestInfo,
    )
    found: dict[str, Any] = {}
    for detail in status.details:
        for kind in kinds:
            if detail.Is(kind.DESCRIPTOR):
                found[kind.DESCRIPTOR.name] = kind.FromString(detail.value)
    return found


def test_every_kind_has_a_code_of_its_own() -> None:
    assert set(CODES) == set(Kind)
    assert len(set(CODES.values())) == len(Kind)
    assert all(code.name == kind.name for kind, code in CODES.items())


def test_every_error_of_the_domain_can_be_rendered() -> None:
    classes = [
        value
        for value in (vars(errors) | vars(run_errors)).values()
        if isinstance(value, type) and issubclass(value, DomainError) and value is not DomainError
    ]

    for error_class in classes:
        error = error_class.__new__(error_class)
        DomainError.__init__(error, "told", thing="x")
        info = details(status_of(error))["ErrorInfo"]
        assert (info.reason, info.domain) == (error_class.reason, "agent-gateway")
        assert info.reason == info.reason.upper()
        assert len(info.reason) <= 63


def test_what_was_not_found_is_named() -> None:
    found = details(status_of(NotFoundError("task", "task_1"), request_id="r-1"))

    assert found["ResourceInfo"].resource_type == "task"
    assert found["ResourceInfo"].resource_name == "task_1"
    assert found["RequestInfo"].request_id == "r-1"


def test_a_wait_is_told() -> None:
    error = RateLimitedError("slow down", retry_after=timedelta(seconds=1.5))

    assert details(status_of(error))["RetryInfo"].retry_delay.ToTimedelta() == timedelta(seconds=1.5)


def test_violations_keep_their_order_and_reasons() -> None:
    violations = [
        FieldViolation(field=f"f{number}", description="is wrong", reason="OUT_OF_RANGE")
        for number in range(3)
    ]

    bad = details(status_of(InvalidRequestError("f0: is wrong", violations=violations)))["BadRequest"]

    assert [(item.field, item.reason) for item in bad.field_violations] == [
        (f"f{number}", "OUT_OF_RANGE") for number in range(3)
    ]


def test_an_internal_error_tells_nothing() -> None:
    status = status_of(InternalError(), request_id="r-1")

    assert "request id" in status.message
    assert set(details(status)) == {"ErrorInfo", "RequestInfo"}


@given(
    message=st.text(alphabet=st.characters(), max_size=3_000),
    facts=st.dictionaries(
        st.text(alphabet=st.characters(), min_size=1, max_size=200).filter(
            lambda name: name not in {"self", "message", "violations", "retry_after"}
        ),
        st.text(alphabet=st.characters(), max_size=3_000),
        max_size=30,
    ),
    fields=st.lists(st.text(alphabet=st.characters(), max_size=500), max_size=200),
)
def test_no_error_outgrows_the_trailers_of_a_default_client(
    message: str, facts: dict[str, str], fields: list[str]
) -> None:
    violations = [FieldViolation(field=field, description=field * 2) for field in fields]
    any_facts: dict[str, Any] = dict(facts)
    error = InvalidRequestError(message, violations=violations, **any_facts)

    status = status_of(error, request_id="r" * 128)

    encoded_message = sum(
        1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in status.message.encode()
    )
    encoded_details = (len(status.SerializeToString()) + 2) // 3 * 4
    assert encoded_message + encoded_details < TRAILERS - 700
    assert "ErrorInfo" in details(status)
    assert ("BadRequest" in details(status)) == bool(violations)


@pytest.mark.parametrize("text", ["tab\there", "line\nbreak", "nul\0", "lone \ud800 surrogate", "é" * 2_000])
def test_any_message_is_one_line_of_valid_unicode(text: str) -> None:
    message = status_of(InvalidRequestError(text)).message

    assert message.isprintable()
    assert 0 < len(message.encode()) <= 400
