from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.errors import ForeignOrigin, InvalidInput, WrongHost
from jobx.http.door.origins import Hosts, check_origin, from_absolute, one_host

HOSTS = Hosts("10.1.2.3:8080", ("jobx.example.com", "[2001:DB8::7]"))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8080",
        "127.0.0.1:1",
        "127.9.8.7",
        "[::1]:8080",
        "[0:0:0:0:0:0:0:1]",
        "10.1.2.3",
        "10.1.2.3:8080",
        "JOBX.example.com:443",
        "[2001:db8:0::7]:80",
        "192.0.2.1:80",
    ],
)
def test_host_that_is_ours_is_served(host: str) -> None:
    for _ in range(2):
        HOSTS.check(host.encode(), "192.0.2.1")


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":8080",
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:8080@evil.example",
        "localhost:evil",
        "127.0.0.1.evil.example",
        "10.1.2.4",
        "0.0.0.0",  # noqa: S104 - a header
        "[::]",
        "[::1",
        "[::1]evil.example",
        "::1",
        "localhost, evil.example",
        "jobx.example.com.",
        "\xe9vil",
    ],
)
def test_host_of_somebody_else_is_refused(host: str) -> None:
    with pytest.raises(WrongHost):
        HOSTS.check(host.encode("latin-1"), "192.0.2.1")


@pytest.mark.parametrize("bind", ["unix:/run/jobx.sock", "0.0.0.0:8080", "[::]:8080"])
@pytest.mark.parametrize("host", [b"", b"/run/jobx.sock", b"0.0.0.0", b"[::]:8080", b"a:b"])
def test_bind_without_a_name_lends_none(bind: str, host: bytes) -> None:
    with pytest.raises(WrongHost):
        Hosts(bind, ()).check(host, None)


def test_address_of_one_connection_is_no_name_on_another() -> None:
    HOSTS.check(b"192.0.2.1", "192.0.2.1")
    with pytest.raises(WrongHost):
        HOSTS.check(b"192.0.2.1", "192.0.2.2")


@given(st.binary(max_size=30))
def test_any_host_is_ours_or_refused(host: bytes) -> None:
    try:
        HOSTS.check(host, None)
    except WrongHost:
        return
    assert host.lower().startswith((b"localhost", b"127.", b"10.1.2.3", b"jobx", b"["))


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {}),
        ("POST", {b"sec-fetch-site": b"same-origin", b"origin": b"http://localhost:8080"}),
        ("GET", {b"sec-fetch-site": b"none"}),
        ("POST", {b"origin": b"HTTP://LOCALHOST:8080"}),
        (
            "GET",
            {
                b"sec-fetch-site": b"cross-site",
                b"sec-fetch-mode": b"navigate",
                b"sec-fetch-dest": b"document",
            },
        ),
    ],
)
def test_page_of_ours_may_ask(method: str, headers: dict[bytes, bytes]) -> None:
    check_origin(method, headers, b"localhost:8080")


NAVIGATION = {b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize(
    "headers",
    [
        {b"sec-fetch-site": b"cross-site"},
        {b"sec-fetch-site": b"same-site"},
        {b"origin": b"null"},
        {b"origin": b""},
        {b"origin": b"http://evil.example"},
        {b"origin": b"http://localhost:3000"},
        {b"origin": b"http://localhost"},
        {b"origin": b"http://localhost:8080.evil.example"},
        {b"origin": b"http://localhost:8080", b"sec-fetch-site": b"cross-site"},
        {b"sec-fetch-site": b"cross-site", b"sec-fetch-mode": b"navigate"},
    ],
)
def test_page_of_elsewhere_may_not(method: str, headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ForeignOrigin):
        check_origin(method, headers, b"localhost:8080")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_form_of_elsewhere_may_not_though_it_navigates(method: str) -> None:
    with pytest.raises(ForeignOrigin):
        check_origin(method, {b"sec-fetch-site": b"cross-site", **NAVIGATION}, b"localhost")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"https://jobx.example.com", b"jobx.example.com:443"),
        (b"http://jobx.example.com", b"jobx.example.com:80"),
        (b"https://jobx.example.com", b"jobx.example.com"),
    ],
)
def test_port_that_goes_without_saying_is_the_same(origin: bytes, host: bytes) -> None:
    check_origin("POST", {b"origin": origin}, host)


def test_host_stands_once() -> None:
    assert one_host([(b"host", b"a"), (b"x", b"b")], "1.1") == b"a"
    assert one_host([], "1.0") is None


@pytest.mark.parametrize("listed", [[], [(b"host", b"a"), (b"host", b"a")]])
def test_missing_or_second_host_is_refused(listed: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidInput, match="header Host"):
        one_host(listed, "1.1")


@pytest.mark.parametrize(
    "headers",
    [
        {b"sec-fetch-site": b"Cross-Site"},
        {b"sec-fetch-site": b"something-new"},
        {b"sec-fetch-site": b""},
        {b"origin": b"://localhost"},
        {b"origin": b"file://localhost"},
        {b"origin": b"chrome-extension://localhost"},
    ],
)
def test_what_is_not_known_to_be_ours_is_elsewhere(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(ForeignOrigin):
        check_origin("POST", headers, b"localhost")


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [("http://a", b"a", "/"), ("HTTPS://a:1/b", b"a:1", "/b"), ("http://a//b", b"a", "//b")],
)
def test_a_whole_url_names_its_host_and_its_path(target: str, host: bytes, path: str) -> None:
    scope = {"path": target, "raw_path": target.encode(), "headers": [(b"host", b"other")]}
    found = from_absolute(scope)
    assert (found["headers"], found["path"], found["raw_path"]) == (
        [(b"host", host)],
        path,
        path.encode(),
    )


@pytest.mark.parametrize("target", ["a:80", "ftp://a/", "http://", "http:///b", "http://a@b/c"])
def test_a_target_that_is_no_url_of_http_is_refused(target: str) -> None:
    with pytest.raises(InvalidInput, match="target"):
        from_absolute({"path": target, "headers": []})
