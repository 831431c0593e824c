from __future__ import annotations

import pytest
from falcon.testing import create_asgi_req

from jobx.errors import InvalidInput
from jobx.http.reading import headers


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, {}),
        ("", {}),
        ("respond-async", {"respond-async": ""}),
        ("Respond-Async, wait=10", {"respond-async": "", "wait": "10"}),
        ('wait = "5"; strict, return=minimal', {"wait": "5", "return": "minimal"}),
        ("wait=1,wait=2", {"wait": "1"}),
    ],
)
def test_preferences_are_read(header: str | None, found: dict[str, str]) -> None:
    assert headers.preferences(header) == found


@pytest.mark.parametrize("header", ["=", "wait=", "a b", "wait=1;;", ",", 'wait="1', "é"])
def test_malformed_preferences_are_refused(header: str) -> None:
    with pytest.raises(InvalidInput, match="Prefer"):
        headers.preferences(header)


@pytest.mark.parametrize(
    ("query", "prefer", "is_blocking", "wait_s", "applied"),
    [
        ("", "", True, 60.0, ""),
        ("blocking=true", "respond-async", True, 60.0, ""),
        ("blocking=false", "wait=5", False, 0.0, ""),
        ("blocking=0", "", False, 0.0, ""),
        ("blocking=False", "", False, 0.0, ""),
        ("blocking=1", "", True, 60.0, ""),
        ("", "respond-async", False, 0.0, "respond-async"),
        ("", "respond-async, wait=5", True, 5.0, "wait=5"),
        ("", "wait=500", True, 60.0, "wait=60"),
        ("", "wait=0", True, 0.0, "wait=0"),
        ("", "return=minimal", True, 60.0, ""),
    ],
)
def test_waiting_follows_query_then_preference(
    query: str, prefer: str, is_blocking: bool, wait_s: float, applied: str
) -> None:
    req = create_asgi_req(query_string=query, headers={"Prefer": prefer})
    assert headers.waiting(req, 60.0) == headers.WaitPreference(is_blocking, wait_s, applied)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "6.6.6.6, 10.0.0.1", "10.0.0.1"),
        ("127.0.0.1", "not an address", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("10.0.0.2", "10.0.0.1", "10.0.0.2"),
        ("", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_only_a_proxy_on_this_machine_is_believed(
    peer: str, forwarded: str | None, expected: str
) -> None:
    given = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    req = create_asgi_req(headers=given, remote_addr=peer)
    assert headers.requester_ip(req, "X-Forwarded-For") == expected
