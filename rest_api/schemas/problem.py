"""The problem document of RFC 9457, for the OpenAPI document; `rest_api.errors` makes it."""

from pydantic import Field

from rest_api.schemas.base import Out


class Violation(Out):
    """One thing that is wrong with the request."""

    detail: str
    pointer: str = Field(examples=["#/configuration/limits/max_steps"])
    """A JSON Pointer fragment into the body, or the name of a parameter in the same form."""
    reason: str = Field(examples=["OUT_OF_RANGE"])


class Problem(Out):
    """Why a call failed. `reason` is the same as on gRPC."""

    type: str = Field(json_schema_extra={"format": "uri"})
    title: str
    status: int
    detail: str
    instance: str
    """The path of the request."""
    reason: str
    """UPPER_SNAKE_CASE."""
    domain: str
    request_id: str
    metadata: dict[str, str] | None = None
    errors: list[Violation] | None = None
    retry_after: int | None = None
    """Seconds; the same as the header."""
    violated_policies: list[str] | None = Field(default=None, alias="violated-policies")
    """With the types `quota-exceeded` and `temporary-reduced-capacity`: the limits that are used up."""
