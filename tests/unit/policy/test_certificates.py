"""Client certificates as identities: real certificates, and the rules that know them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.domain.errors import PermissionDeniedError
from app.domain.identity import Principal, TenantId
from app.policy.admission import CallHead, ClientCertificate, UnknownPeer
from app.policy.authentication.certificates import CertificateField, CertificateRule, Certificates
from app.policy.authentication.origins import Origins
from app.policy.certificates import client_certificate
from app.settings.identity import CertificateSettings
from tests.certificates import Authority

ACME = TenantId("acme")
SPIFFE = "spiffe://example.org/ns/prod/ci"
TASKS = frozenset({"tasks:*"})


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificate:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    pair = authority.client("robot", dns=("a.example", "Robot.Example"), uris=("urn:x", SPIFFE))
    return client_certificate(pair.der)


def a_rule(
    field: CertificateField, value: str, *, prefix: bool = False, subject: str = ""
) -> CertificateRule:
    return CertificateRule(
        field=field, value=value, prefix=prefix, subject=subject, tenant=ACME, scopes=TASKS
    )


async def recognised(
    certificate: ClientCertificate | None, *rules: CertificateRule, **head: object
) -> Principal | None:
    known = Certificates(rules, Origins(["https://app.example"], secure=True))
    call = {"protocol": "rest", "method": "m", "metadata": {}, "http_method": "GET"} | head
    return await known.recognise(CallHead(peer=UnknownPeer("h", certificate), **call))  # type: ignore[arg-type]


FITTING = [
    ("uri", SPIFFE, False, SPIFFE),
    ("uri", "spiffe://example.org/ns/prod/", True, SPIFFE),
    ("dns", "robot.example", False, "robot.example"),
    ("common_name", "robot", False, "robot"),
    ("common_name", "rob", True, "robot"),
]


@pytest.mark.parametrize(("field", "value", "prefix", "subject"), FITTING)
async def test_a_rule_knows_a_certificate_by_one_of_its_names(
    robot: ClientCertificate, field: CertificateField, value: str, prefix: bool, subject: str
) -> None:
    principal = await recognised(robot, a_rule(field, value, prefix=prefix))

    assert principal == Principal(
        subject=subject,
        tenant=ACME,
        scopes=TASKS,
        credential="certificate",
        credential_id=robot.fingerprint,
    )


async def test_a_fingerprint_knows_one_certificate(robot: ClientCertificate, tmp_path: Path) -> None:
    same_name = client_certificate(Authority(tmp_path).client("robot").der)
    rule = a_rule("fingerprint", robot.fingerprint, subject="ci")

    principal = await recognised(robot, rule)

    assert principal is not None
    assert principal.subject == "ci"
    assert await recognised(same_name, rule) is None


@pytest.mark.parametrize(
    ("field", "value", "prefix"),
    [
        ("uri", "spiffe://example.org/ns/prod", False),
        ("uri", "spiffe://example.org/ns/prod/ci/", True),
        ("uri", SPIFFE.upper(), False),
        ("uri", SPIFFE, True),
        ("dns", "example", False),
        ("common_name", "Robot", False),
        ("common_name", "a.example", False),
        ("fingerprint", "0" * 64, False),
    ],
)
async def test_what_no_rule_knows_is_nobody(
    robot: ClientCertificate, field: CertificateField, value: str, prefix: bool
) -> None:
    assert await recognised(robot, a_rule(field, value, prefix=prefix)) is None


async def test_the_first_rule_that_fits_decides(robot: ClientCertificate) -> None:
    rules = [a_rule("uri", "no"), a_rule("uri", SPIFFE, subject="x"), a_rule("common_name", "robot")]

    principal = await recognised(robot, *rules)

    assert principal is not None
    assert principal.subject == "x"


async def test_without_a_certificate_nobody_is_recognised() -> None:
    assert await recognised(None, a_rule("common_name", "", prefix=True)) is None
    assert await recognised(ClientCertificate(fingerprint="f"), a_rule("common_name", "")) is None
    odd = ClientCertificate(fingerprint="f", common_name="a\nb")
    assert await recognised(odd, a_rule("common_name", "a", prefix=True)) is None


@pytest.mark.parametrize(
    ("headers", "welcome"),
    [
        ({}, True),
        ({"origin": "https://gateway.example"}, True),
        ({"origin": "https://app.example"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://gateway.example"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
    ],
)
async def test_a_page_of_another_origin_cannot_use_a_browser_s_certificate(
    robot: ClientCertificate, headers: dict[str, str], welcome: bool
) -> None:
    head = {"metadata": {"host": "gateway.example", **headers}, "http_method": "POST"}
    if welcome:
        assert await recognised(robot, a_rule("common_name", "robot"), **head)
    else:
        with pytest.raises(PermissionDeniedError):
            await recognised(robot, a_rule("common_name", "robot"), **head)


async def test_a_certificate_stands_as_long_as_its_rule(robot: ClientCertificate) -> None:
    rule = a_rule("uri", "spiffe://example.org/", prefix=True)
    principal = await recognised(robot, rule)
    assert principal is not None
    origins = Origins(secure=True)

    assert await Certificates([rule], origins).stands(principal)
    assert not await Certificates([a_rule("uri", "spiffe://example.com/", prefix=True)], origins).stands(
        principal
    )
    assert not await Certificates([], origins).stands(principal)


@pytest.mark.parametrize(
    "wrong",
    [
        {"match": "fingerprint", "value": "abc"},
        {"match": "fingerprint", "value": "ab" * 32, "prefix": True},
        {"match": "uri", "value": "spiffe://example.org/ns/prod", "prefix": True},
        {"match": "dns", "value": "a.", "prefix": True},
        {"match": "common_name", "value": ""},
        {"match": "email", "value": "a@b"},
        {"match": "dns", "value": "a", "scopes": ["tasks:fly"]},
        {"match": "dns", "value": "a", "scopes": []},
    ],
)
def test_a_rule_that_cannot_be_meant_stops_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CertificateSettings.model_validate(wrong)


def test_fingerprints_are_taken_as_openssl_prints_them() -> None:
    printed = ":".join(["AB"] * 32)

    assert CertificateSettings(match="fingerprint", value=printed).normal_value == "ab" * 32
