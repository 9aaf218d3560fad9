"""Dialects that may be called without credentials: those alone, and with none at all."""

import pytest

from app.domain.errors import UnauthenticatedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead
from app.policy.authentication.anonymous import AnonymousDialects
from app.policy.authentication.chain import AuthenticatorChain
from tests.unit.policy.gatehouse import STATIC, Gatehouse

GUEST = Principal(subject="anonymous", tenant=TenantId("guests"), scopes=frozenset({"tasks:*"}))


def a_call(**fields: object) -> CallHead:
    given = {"protocol": "grpc", "method": "m", "metadata": {}, "dialect": "autogen"} | fields
    return CallHead(**given)  # type: ignore[arg-type]


def chain(house: Gatehouse) -> AuthenticatorChain:
    return AuthenticatorChain([house.keys, AnonymousDialects({"autogen": GUEST})])


async def test_a_call_without_credentials_comes_in_as_the_guest(house: Gatehouse) -> None:
    assert await chain(house).authenticate(a_call()) == GUEST


@pytest.mark.parametrize("dialect", ["", "lybic"])
async def test_other_protocols_want_credentials(house: Gatehouse, dialect: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await chain(house).authenticate(a_call(dialect=dialect))


@pytest.mark.parametrize(
    "shown",
    [
        {"metadata": {"x-api-key": "wrong"}},
        {"metadata": {"authorization": "Bearer wrong"}},
        {"metadata": {"authorization": "Basic enplOng="}},
        {"metadata": {"x-api-key": ""}},
        {"query_ticket": "wrong"},
        {"session_cookie": "wrong"},
    ],
)
async def test_a_bad_credential_is_refused_there_too(house: Gatehouse, shown: dict[str, object]) -> None:
    with pytest.raises(UnauthenticatedError):
        await chain(house).authenticate(a_call(**shown))


async def test_a_good_credential_counts_there_too(house: Gatehouse) -> None:
    principal = await chain(house).authenticate(a_call(metadata={"x-api-key": STATIC}))

    assert principal.subject == "fixed"
