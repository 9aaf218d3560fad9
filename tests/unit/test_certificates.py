"""The files of a listener's certificate: what is refused, what is warned of, what a change does."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.bootstrap.certificates import CertificateError, CertificateWatch, load_certificate
from app.policy.certificates import ListenerCertificate, client_certificate, client_certificate_of_pem
from app.settings import Settings
from app.settings.tls import TlsSettings
from app.telemetry.metrics import Metrics
from tests.certificates import Authority, Pair

NOW = datetime.now(UTC)


def settings_of(pair: Pair, authority: Authority | None = None) -> TlsSettings:
    return TlsSettings(
        certificate=pair.certificate,
        key=pair.key,
        client_ca=authority.certificate if authority else None,
        client_certificates="required" if authority else "none",
        reload_interval=timedelta(milliseconds=5),
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def test_good_files_are_served_without_a_word(authority: Authority) -> None:
    pair = authority.server()

    loaded = load_certificate(settings_of(pair, authority), NOW)

    assert loaded is not None
    assert (loaded.subject, loaded.warnings) == ("gateway", ())
    assert loaded.certificate.client_ca is not None
    assert "PRIVATE" not in repr(loaded)


def test_without_files_there_is_no_tls() -> None:
    assert load_certificate(TlsSettings(), NOW) is None


BROKEN: list[tuple[str, str, Callable[[Authority, Pair], object]]] = [
    ("tls.certificate", "No such file", lambda _, pair: pair.certificate.unlink()),
    ("tls.key", "No such file", lambda _, pair: pair.key.unlink()),
    ("tls.client_ca", "No such file", lambda authority, _: authority.certificate.unlink()),
    ("tls.certificate", "is no PEM certificate", lambda _, pair: pair.certificate.write_text("x")),
    ("tls.key", "is no PEM private key", lambda _, pair: pair.key.write_text("x")),
    ("tls.client_ca", "is no PEM certificate", lambda authority, _: authority.certificate.write_text("x")),
    (
        "tls.key",
        "does not belong to",
        lambda authority, pair: pair.key.write_bytes(authority.server("other").key.read_bytes()),
    ),
]


@pytest.mark.parametrize(("setting", "fault", "break_it"), BROKEN)
def test_what_cannot_be_used_is_named(
    authority: Authority, setting: str, fault: str, break_it: Callable[[Authority, Pair], object]
) -> None:
    pair = authority.server()
    break_it(authority, pair)

    with pytest.raises(CertificateError) as refused:
        load_certificate(settings_of(pair, authority), NOW)

    assert str(refused.value).startswith(f"{setting}: ")
    assert fault in str(refused.value)


def test_one_that_expired_or_has_not_begun_is_refused(authority: Authority) -> None:
    settings = settings_of(authority.server(lasts=timedelta(days=1)))

    with pytest.raises(CertificateError, match="expired at"):
        load_certificate(settings, NOW + timedelta(days=2))
    with pytest.raises(CertificateError, match="is not valid before"):
        load_certificate(settings, NOW - timedelta(days=30))


def test_a_key_that_others_may_read_and_an_end_that_is_near_are_warned_of(authority: Authority) -> None:
    pair = authority.server(lasts=timedelta(days=3))
    pair.key.chmod(0o640)

    loaded = load_certificate(settings_of(pair), NOW)

    assert loaded is not None
    readable, ending = loaded.warnings
    assert "(mode 0640)" in readable
    assert "expires in" in ending


def test_a_client_s_names_are_the_same_from_both_forms(authority: Authority) -> None:
    pair = authority.client("alice", dns=("a.example.org",), uris=("spiffe://example.org/a",))

    named = client_certificate(pair.der)

    assert named == client_certificate_of_pem(pair.certificate.read_bytes())
    assert (named.common_name, named.dns_names, named.uris) == (
        "alice",
        ("a.example.org",),
        ("spiffe://example.org/a",),
    )


class Listener:
    """Takes certificates, unless told to refuse them."""

    def __init__(self) -> None:
        self.shown: list[ListenerCertificate] = []
        self.changed = asyncio.Event()
        self.refuses = False

    def use(self, certificate: ListenerCertificate) -> None:
        if self.refuses:
            raise ValueError("not this one")
        self.shown.append(certificate)
        self.changed.set()


def watch_of(settings: TlsSettings, metrics: Metrics) -> CertificateWatch:
    loaded = load_certificate(settings, NOW)
    assert loaded is not None
    return CertificateWatch(settings, loaded, metrics, now=lambda: NOW)


async def test_a_swapped_link_is_noticed_and_used(tmp_path: Path) -> None:
    Authority(tmp_path / "one").server("tls")
    after = Authority(tmp_path / "two").server("tls")
    live = tmp_path / "live"
    live.symlink_to(tmp_path / "one")
    listener = Listener()
    watch = watch_of(settings_of(Pair(live / "tls.pem", live / "tls.key")), Metrics())
    watch.add(listener.use)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run())
        (tmp_path / "next").symlink_to(tmp_path / "two")
        (tmp_path / "next").replace(live)
        await listener.changed.wait()
        watching.cancel()

    assert [shown.chain for shown in listener.shown] == [after.certificate.read_bytes()]


async def test_a_broken_new_one_leaves_the_old_and_is_counted_once_a_change(authority: Authority) -> None:
    pair, metrics, listener = authority.server(), Metrics(), Listener()
    watch = watch_of(settings_of(pair), metrics)
    watch.add(listener.use)
    before = watch.loaded
    pair.key.write_text("half a k")

    assert not await watch.reload()

    assert listener.shown == []
    assert watch.loaded is before
    assert b'reloads_total{outcome="failed"} 1.0' in metrics.render()


async def test_all_listeners_show_the_same_one(authority: Authority) -> None:
    pair, first, second = authority.server(), Listener(), Listener()
    watch = watch_of(settings_of(pair), Metrics())
    watch.add(first.use)
    watch.add(second.use)
    before, second.refuses = watch.loaded.certificate, True
    authority.server()  # writes a new one in its place

    assert not await watch.reload()

    assert first.shown[-1] == before
    assert watch.loaded.certificate == before


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"GATEWAY_TLS__CERTIFICATE": "a.pem"}, "go together"),
        ({"GATEWAY_TLS__CLIENT_CERTIFICATES": "required"}, "needs tls.client_ca"),
        ({"GATEWAY_REST__TCP": "false"}, "there is no rest.uds"),
        ({"GATEWAY_GRPC__CLIENT_CERTIFICATES": "optional"}, "none and required only"),
        ({"GATEWAY_REST__CORS_ORIGINS": '["*"]', "GATEWAY_REST__CORS_CREDENTIALS": "true"}, "not *"),
        (
            {
                "GATEWAY_TLS__CERTIFICATE": "a",
                "GATEWAY_TLS__KEY": "b",
                "GATEWAY_TLS__CLIENT_CA": "c",
                "GATEWAY_TLS__CLIENT_CERTIFICATES": "optional",
            },
            "cannot be had with gRPC",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_named(
    settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=said.replace("*", r"\*")):
        Settings()
