from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from jobx.actors.egress import http_client
from jobx.actors.egress.http_client import Outbound
from jobx.config_sections import OutboundSettings
from jobx.errors import ConfigError, DeadlineExceeded, InvalidInput, Unavailable
from tests.support.http_sink import HttpSink, http_sink
from tests.support.ports import free_port

ANY = OutboundSettings(allow=("http://*", "https://*", "http://*:8080"))


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    with http_sink() as sink:
        yield sink


def _resolving_to(*addresses: str) -> Outbound:
    return Outbound(ANY, resolve=lambda _host, _port: addresses)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://224.0.0.1/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fc00::1]/",
        "http://[ff02::1]/",
        "http://localhost/",
        "http://localhost./",
        "http://LOCALHOST/",
        "http://user@hooks.example.com/",
        "http://hooks.example.com@127.0.0.1/",
        "http://user:pw@127.0.0.1/",
        "http://hooks.example.com\\@127.0.0.1/",
        "http://hooks.example.com#@127.0.0.1/",
        "http://hooks.example.com\r\nHost: x/",
        "http://hooks.example.com:0/",
        "http://hooks.example.com:99999/",
        "http://hooks.example.com:22/",
        "http://hóoks.example.com/",
        "http:///etc/passwd",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "ftp://hooks.example.com/",
        "//hooks.example.com/",
        "hooks.example.com",
        "",
    ],
)
def test_url_that_reaches_inwards_is_refused(url: str) -> None:
    calls = Outbound(ANY)

    with pytest.raises(InvalidInput):
        calls.addresses(calls.check("url", url))


@pytest.mark.parametrize(
    ("origin", "url", "allowed"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/a?b=c", True),
        ("https://hooks.example.com", "http://hooks.example.com/", False),
        ("https://hooks.example.com", "https://hooks.example.com:8443/", False),
        ("https://hooks.example.com:8443", "https://hooks.example.com:8443/", True),
        ("https://hooks.example.com", "https://hooks.example.com.evil.net/", False),
        ("https://*.example.com", "https://a.b.example.com/", True),
        ("https://*.example.com", "https://example.com/", False),
        ("https://*.example.com", "https://evilexample.com/", False),
        ("https://*", "https://anybody.net/", True),
        ("https://*", "http://anybody.net/", False),
    ],
)
def test_origin_allows_itself_and_nothing_else(origin: str, url: str, allowed: bool) -> None:
    calls = Outbound(OutboundSettings(allow=(origin,)))

    if allowed:
        assert calls.check("url", url)
    else:
        with pytest.raises(InvalidInput, match=r"outbound\.allow"):
            calls.check("url", url)


def test_nothing_is_allowed_where_nothing_is_set() -> None:
    with pytest.raises(InvalidInput):
        Outbound(OutboundSettings()).check("url", "https://hooks.example.com/")


def test_one_inward_address_of_a_name_refuses_all() -> None:
    calls = _resolving_to("8.8.8.8", "127.0.0.1")

    with pytest.raises(InvalidInput, match=r"127\.0\.0\.1"):
        calls.addresses(calls.check("url", "http://hooks.example.com/"))


def test_name_is_resolved_once_so_that_it_cannot_be_rebound(sink: HttpSink) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    settings = OutboundSettings(allow=(f"http://*:{sink.server_port}",), networks=("127.0.0.0/8",))
    calls = Outbound(settings, resolve=lambda _host, _port: next(answers))
    target = calls.check("url", f"http://hooks.example.com:{sink.server_port}/")
    calls.post(target, [b"x"], 1, {})

    assert sink.posts[0].headers["Host"] == f"hooks.example.com:{sink.server_port}"
    assert next(answers) == ["10.0.0.1"]  # asked for once


@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8",)])
def test_address_in_a_listed_network_is_allowed(networks: tuple[str, ...]) -> None:
    calls = Outbound(OutboundSettings(allow=("http://10.0.0.7",), networks=networks))
    target = calls.check("url", "http://10.0.0.7/")

    if networks:
        assert calls.addresses(target) == ["10.0.0.7"]
    else:
        with pytest.raises(InvalidInput, match=r"outbound\.networks"):
            calls.addresses(target)


def test_url_of_the_settings_may_be_local_and_covers_its_origin_only(sink: HttpSink) -> None:
    calls = Outbound(OutboundSettings(), [sink.url, ""])
    calls.post(calls.check("url", sink.url), [b"a", b"b"], 2, {"X-A": "1"})

    assert (sink.posts[0].path, sink.posts[0].body) == ("/in?token=hidden", b"ab")
    with pytest.raises(InvalidInput):
        calls.check("url", "http://127.0.0.1:1/")


def test_redirect_is_not_followed(sink: HttpSink) -> None:
    sink.answer = lambda _: (302, {"Location": f"http://127.0.0.1:{sink.server_port}/inner"})
    calls = Outbound(OutboundSettings(), [sink.url])

    with pytest.raises(Unavailable, match="302; redirects are not followed"):
        calls.post(calls.check("url", sink.url), [b"x"], 1, {})
    assert len(sink.posts) == 1


def test_failure_names_the_origin_but_not_the_token(sink: HttpSink) -> None:
    sink.answer = lambda _: (503, {"Retry-After": "7"})
    calls = Outbound(OutboundSettings(), [sink.url])

    with pytest.raises(Unavailable) as caught:
        calls.post(calls.check("url", sink.url), [b"x"], 1, {})
    assert "hidden" not in str(caught.value)
    assert caught.value.retry_after_s == 7


def test_nobody_there_is_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    calls = Outbound(OutboundSettings(), [url])

    with pytest.raises(Unavailable, match="refused"):
        calls.post(calls.check("url", url), [b"x"], 1, {})


def test_answer_that_does_not_come_ends_in_time(
    sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "CALL_S", 0.2)
    released = threading.Event()
    sink.answer = lambda _: (204, {}) if released.wait(60) else (500, {})
    calls = Outbound(OutboundSettings(), [sink.url])

    with pytest.raises(DeadlineExceeded):
        calls.post(calls.check("url", sink.url), [b"x"], 1, {})
    released.set()


def test_certificate_is_checked_against_the_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example.com").configure_cert(tls)
    with http_sink(tls=tls) as sink:
        url = f"https://hooks.example.com:{sink.server_port}/"
        trusting = OutboundSettings(ca_file=str(tmp_path / "ca.pem"))
        here = Outbound(trusting, [url], lambda _host, _port: ["127.0.0.1"])
        here.post(here.check("url", url), [b"x"], 1, {})
        other = Outbound(OutboundSettings(), [url], lambda _host, _port: ["127.0.0.1"])
        with pytest.raises(Unavailable, match="certificate"):
            other.post(other.check("url", url), [b"x"], 1, {})
        assert len(sink.posts) == 1


@pytest.mark.parametrize("origin", ["hooks.example.com", "https://a/b", "ftp://a", "https://"])
def test_origin_that_is_none_is_refused_by_its_setting(origin: str) -> None:
    with pytest.raises(ConfigError, match=r"outbound\.allow"):
        Outbound(OutboundSettings(allow=(origin,)))
