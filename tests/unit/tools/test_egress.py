"""Where requests may go."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from app.domain.errors import DomainError, InvalidRequestError, PermissionDeniedError, ToolFailedError
from app.tools.egress import Egress, is_public


def answering(*addresses: str) -> Egress:
    async def resolver(host: str, port: int) -> Sequence[str]:
        del host, port
        return addresses

    return Egress(resolver=resolver)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",  # noqa: S104 - refused
        "127.0.0.1.",
        "１２７.0.0.1",  # full-width digits
        "10.0.0.8",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.0.192",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.2.3",
        "255.255.255.255",
        "240.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
    ],
)
async def test_inward_addresses_are_refused_however_they_are_written(host: str) -> None:
    with pytest.raises(PermissionDeniedError):
        await Egress().check_url(f"http://{host}/latest/meta-data")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST"])
async def test_a_name_for_an_inward_address_is_refused(name: str) -> None:
    with pytest.raises(PermissionDeniedError):
        await Egress().check_url(f"https://{name}/")


async def test_one_inward_address_among_several_is_enough_to_refuse() -> None:
    with pytest.raises(PermissionDeniedError):
        await answering("93.184.215.14", "10.0.0.1").check_url("http://example.test/")


async def test_a_public_address_is_pinned() -> None:
    egress = answering("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")

    to = await egress.destination("https://Example.TEST:8443/a?b=c#d")

    assert (to.address, to.host, to.port, to.authority) == (
        "93.184.215.14",
        "example.test",
        8443,
        "example.test:8443",
    )


@pytest.mark.parametrize(
    ("allowed", "url", "passes"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081/", False),
        ("intranet.test", "http://intranet.test/", True),
        ("Intranet.TEST:443", "https://intranet.test/", True),
        ("intranet.test:443", "http://intranet.test/", False),
        ("intranet.test", "http://evil.intranet.test/", False),
        ("[::1]:80", "http://[::1]/", True),
        ("::1", "http://[::1]/", True),
        ("127.0.0.1", "http://2130706433/", False),
    ],
)
async def test_the_operator_may_allow_hosts(allowed: str, url: str, passes: bool) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        del host, port
        return ["10.1.2.3"]

    egress = Egress(allowed_hosts=(allowed,), resolver=resolver)

    if passes:
        await egress.check_url(url)
    else:
        with pytest.raises(PermissionDeniedError):
            await egress.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "example.com",
        "//example.com",
        "http://",
        "http:///path",
        "http://user:secret@example.com/",
        "http://user@example.com/",
        "http://@example.com/",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://example.com:x/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://exa mple.com/",
        "http://example.com/\r\nX-Injected: 1",
        "http://example.com\\@127.0.0.1/",
        "http://" + "a" * 300 + ".com/",
        "http://example.com/" + "a" * 3000,
        "http://\ud800.com/",
        "",
    ],
)
async def test_what_is_not_a_plain_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await Egress().check_url(url)

    assert "secret" not in str(caught.value)


async def test_a_name_that_does_not_resolve_fails() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise OSError

    for egress in (answering(), Egress(resolver=resolver)):
        with pytest.raises(ToolFailedError, match="cannot be resolved"):
            await egress.check_url("http://nowhere.test/")


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_every_refusal_is_an_expected_error() -> None:
    for url in (
        "http://[",
        "http://]",
        "http://[]",
        "http://a..b/",
        "http://.",
        "http://xn--/",
        "http://ß.de:1/",
    ):
        try:
            await answering("10.0.0.1").check_url(url)
        except DomainError:
            continue
        pytest.fail(url)
