"""Which server is asked, and which calls are made again, with servers that only say something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest

from jobx.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from jobx.kv.etcd.connection import EtcdConnection, Server
from tests.unit.kv.etcd.test_errors import Failed

UNDONE = Failed(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
UNKNOWN = Failed(grpc.StatusCode.UNAVAILABLE, "Socket closed")
SILENT = Failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
STALE = Failed(grpc.StatusCode.UNAUTHENTICATED, "etcdserver: invalid auth token")


class Says:
    """What two servers say to one call after the other; asked in turn it is the last thing."""

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.metadata: list[Any] = []

    def pick(self, server: Server) -> Callable[..., Any]:
        def call(request: Any, timeout: float, metadata: Any) -> Any:
            name = server.name[0]
            self.asked.append(name)
            self.metadata.append(metadata)
            left = self.answers[name]
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.fixture
def connection() -> Iterator[EtcdConnection]:
    with closing(EtcdConnection(["a:1", "b:1"], None, None, 0.3)) as made:
        yield made


def ask(connection: EtcdConnection, says: Says, writes: str | None = None) -> Any:
    return connection.call(says.pick, None, connection.deadline(), writes)


@pytest.mark.parametrize(
    ("writes", "error"), [(None, UNDONE), (None, UNKNOWN), (None, SILENT), ("key", UNDONE)]
)
def test_another_server_is_asked_when_nothing_was_done(
    connection: EtcdConnection, writes: str | None, error: Failed
) -> None:
    says = Says(a=[error], b=["answer"])
    assert ask(connection, says, writes) == "answer"
    assert says.asked == ["a", "b"]
    assert ask(connection, says, writes) == "answer"
    assert says.asked == ["a", "b", "b"]


@pytest.mark.parametrize("error", [UNKNOWN, SILENT])
def test_a_write_that_may_have_been_done_is_not_made_again(
    connection: EtcdConnection, error: Failed
) -> None:
    says = Says(a=[error], b=["answer"])
    with pytest.raises(OutcomeUnknown, match="the key"):
        ask(connection, says, "the key")
    assert says.asked == ["a"]
    assert ask(connection, says, "the key") == "answer"


def test_a_call_ends_with_its_deadline_and_says_why(connection: EtcdConnection) -> None:
    says = Says(a=[UNDONE], b=[UNDONE])
    with pytest.raises(StoreUnavailable, match=r"a:1,b:1 does not answer .*no leader"):
        ask(connection, says, "key")
    assert set(says.asked) == {"a", "b"}


def test_a_token_that_is_not_known_any_more_is_asked_for_anew() -> None:
    with closing(EtcdConnection(["a:1"], None, ("me", "word"), 0.3)) as connection:
        (server,) = connection._servers
        tokens = iter(["first", "second"])
        server.authenticate = lambda *_, **__: type("Answer", (), {"token": next(tokens)})
        says = Says(a=[STALE, "answer"])
        assert ask(connection, says, "key") == "answer"
    assert [dict(one).get("token") for one in says.metadata] == ["first", "second"]


def test_a_closed_connection_asks_nobody(connection: EtcdConnection) -> None:
    connection.close()
    says = Says(a=["answer"], b=["answer"])
    with pytest.raises(StoreRefused, match="closed"):
        ask(connection, says)
    assert says.asked == []
