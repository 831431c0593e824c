from __future__ import annotations

import grp
import os
import socket
from pathlib import Path

import pytest

from jobx.errors import ConfigError, InUse
from jobx.tools.serving.listening import listen, url_of


def test_listen_refuses_a_taken_address() -> None:
    with listen("127.0.0.1:0") as taken, pytest.raises(InUse):
        listen(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize(
    "bind", ["", "8080", "localhost", ":80", "localhost:x", "localhost:70000", "203.0.113.9:8080"]
)
def test_listen_refuses_what_is_no_address_here(bind: str) -> None:
    with pytest.raises(ConfigError, match=r"http\.bind"):
        listen(bind)


def test_listen_takes_ipv6_in_brackets() -> None:
    with listen("[::1]:0") as listener:
        assert listener.family is socket.AF_INET6


def test_listen_takes_a_unix_socket_that_only_this_user_may_connect_to(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with listen(f"unix:{path}") as listener:
        assert listener.family is socket.AF_UNIX
        assert path.stat().st_mode & 0o777 == 0o600


def test_listen_lets_a_group_connect_to_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with listen(f"unix:{path}", grp.getgrgid(os.getgid()).gr_name):
        assert (path.stat().st_mode & 0o777, path.stat().st_gid) == (0o660, os.getgid())


def test_listen_refuses_a_group_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"http\.socket_group.*'nobodys-group'"):
        listen(f"unix:{tmp_path / 'web.sock'}", "nobodys-group")


def test_listen_refuses_a_unix_socket_that_somebody_listens_on(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path / 'web.sock'}"
    with listen(bind), pytest.raises(InUse, match=r"web\.sock is used by another process"):
        listen(bind)


def test_listen_takes_over_a_unix_socket_that_was_left_behind(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path / 'web.sock'}"
    listen(bind).close()
    listen(bind).close()


@pytest.mark.parametrize("name", ["file", "nowhere/web.sock", "x" * 200, ""])
def test_listen_leaves_alone_what_is_no_socket(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises((ConfigError, InUse), match=r"unix:"):
        listen(f"unix:{tmp_path / name}")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (("127.0.0.1", 80), "http://127.0.0.1:80"),
        (("0.0.0.0", 80), "http://127.0.0.1:80"),  # noqa: S104 - nothing is bound
        (("::", 80, 0, 0), "http://[::1]:80"),
        ("/run/web.sock", "unix:/run/web.sock"),
    ],
)
def test_url_is_how_this_machine_reaches_an_address(address: object, url: str) -> None:
    assert url_of(address) == url
