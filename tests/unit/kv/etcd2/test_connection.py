"""What becomes of answers that etcd does not give."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from jobx.errors import JobxError, OutcomeUnknown, StoreRefused, StoreUnavailable
from jobx.kv.etcd2.calls import Call, List, Look, Remove, Write
from jobx.kv.etcd2.connection import Etcd2Connection
from jobx.kv.etcd2.http_pool import Access, HttpAnswer
from jobx.kv.etcd2.store import Etcd2Store

PAGE: Final = b"<html>Bad Gateway, no space left, timed out</html>"
SAID: Final = b'{"action": "get", "node": {"key": "/a", "value": "v", "modifiedIndex": 3}}'
INDEX: Final = {"X-Etcd-Index": "7"}
FOREIGN: Final = [
    (502, PAGE, INDEX),
    (503, b'{"message": "proxy: no endpoints"}', INDEX),
    (504, b"", {}),
    (500, b'{"message": "Internal Server Error"}', {}),
    (404, PAGE, {}),
    (404, b'{"message": "no route"}', {}),
    (403, b"\xff", {}),
    (200, b"hello", INDEX),
    (200, b'{"a": 1}', INDEX),
    (200, b"[]", INDEX),
    (200, SAID, {}),
    (201, SAID, {"X-Etcd-Index": "many"}),
    (302, PAGE, {"Location": "/"}),
]


class _Pool:
    """Answers each call in the same way."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.count = 0
        self._answer = HttpAnswer(status, headers, body)

    def ask(self, *_: Any) -> HttpAnswer:
        self.count += 1
        return self._answer

    def close(self) -> None:
        """Nothing is open."""


def connected(*answer: Any) -> tuple[Etcd2Connection, _Pool]:
    connection, pool = Etcd2Connection(["h:1"], Access(), 0.1), _Pool(*answer)
    connection._clients[0].http.pool = pool
    return connection, pool


def error_of(connection: Etcd2Connection, call: Call) -> type[Exception] | None:
    try:
        connection.make(call)
    except JobxError as error:
        return type(error)
    return None


@pytest.mark.parametrize("answer", FOREIGN, ids=str)
def test_a_read_that_is_not_answered_by_etcd_was_not_answered(answer: Any) -> None:
    connection, _ = connected(*answer)
    assert [error_of(connection, call(path="/a")) for call in (Look, List)] == [
        StoreUnavailable,
        StoreUnavailable,
    ]


@pytest.mark.parametrize("answer", FOREIGN, ids=str)
def test_a_write_that_is_not_answered_by_etcd_may_have_been_done_and_is_not_repeated(
    answer: Any,
) -> None:
    connection, pool = connected(*answer)
    calls = Write("/a", "", 0), Remove("/a", 3)
    assert [error_of(connection, call) for call in calls] == [OutcomeUnknown, OutcomeUnknown]
    assert pool.count == len(calls)


@pytest.mark.parametrize("answer", FOREIGN, ids=str)
def test_a_node_does_not_start_on_something_else_but_on_a_proxy_it_may_try_again(
    answer: Any,
) -> None:
    connection, _ = connected(*answer)
    expected = StoreUnavailable if answer[0] in (502, 503, 504) else StoreRefused
    with pytest.raises(expected, match="h:1"):
        Etcd2Store(connection)


def test_a_node_does_not_start_on_a_file() -> None:
    connection, _ = connected(200, SAID, INDEX)
    with pytest.raises(StoreRefused, match=r"/a is no folder; .* store\.url"):
        Etcd2Store(connection, "a/")


@pytest.mark.parametrize(
    ("status", "code", "answer"), [(404, 100, Look("/a")), (412, 101, Write("/a", "", 3))], ids=str
)
def test_what_etcd_itself_refuses_is_an_answer(status: int, code: int, answer: Call) -> None:
    said = {"errorCode": code, "message": "", "cause": "/a", "index": 7}
    connection, _ = connected(status, json.dumps(said).encode(), INDEX)
    assert error_of(connection, answer) is None
