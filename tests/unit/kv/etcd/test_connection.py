"""Which server is asked, and which calls are made again, with servers that only say something."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from typing import Any

import grpc
import pytest

from jobx.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from jobx.kv.etcd.connection import EtcdConnection, Server
from tests.unit.kv.etcd.test_errors import Failed

UNDONE = Failed(grpc.StatusCode.UNAVAILABLE, "etcdserver: no leader")
UNKNOWN = Failed(grpc.StatusCode.UNAVAILABLE, "Socket closed")
SILENT = Failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
OLD = Failed(grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")
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


@pytest.fixture
def of_a_user() -> Iterator[EtcdConnection]:
    """A connection to a server that gives out the tokens ``t0``, ``t1``, …"""
    with closing(EtcdConnection(["a:1"], None, ("me", "word"), 0.3)) as made:
        numbers = count()
        made._servers[0].authenticate = lambda *_, **__: Token(f"t{next(numbers)}")
        yield made


class Token:
    """The answer to a login."""

    def __init__(self, token: str) -> None:
        self.token = token


def tokens(says: Says) -> list[str | None]:
    return [dict(one).get("token") for one in says.metadata]


@pytest.mark.parametrize("error", [STALE, OLD])
def test_a_token_that_is_not_known_any_more_is_asked_for_anew(
    of_a_user: EtcdConnection, error: Failed
) -> None:
    says = Says(a=[error, "answer"])
    assert ask(of_a_user, says, "key") == "answer"
    assert tokens(says) == ["t0", "t1"]


@pytest.mark.parametrize("renewed", [None, "other"])
def test_a_token_that_another_thread_has_given_up_is_no_reason_to_refuse(
    of_a_user: EtcdConnection, renewed: str | None
) -> None:
    says = Says(a=[STALE, "answer"])

    def pick(server: Server) -> Callable[..., Any]:
        call = says.pick(server)

        def meanwhile(*args: Any, **how: Any) -> Any:
            if not says.asked:
                server.token = renewed
            return call(*args, **how)

        return meanwhile

    assert of_a_user.call(pick, None, of_a_user.deadline(), "key") == "answer"
    assert tokens(says) == ["t0", renewed or "t1"]


@pytest.mark.parametrize("error", [UNKNOWN, SILENT])
def test_a_login_that_fails_has_written_nothing(of_a_user: EtcdConnection, error: Failed) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    of_a_user._servers[0].authenticate = fail
    says = Says(a=["answer"])
    with pytest.raises(StoreUnavailable):
        ask(of_a_user, says, "key")
    assert says.asked == []


def test_a_login_leaves_time_for_another_server() -> None:
    limits: list[float] = []

    def log_in(request: Any, timeout: float) -> Token:
        limits.append(timeout)
        if len(limits) == 1:
            raise SILENT
        return Token("t")

    with closing(EtcdConnection(["a:1", "b:1"], None, ("me", "word"), 0.3)) as connection:
        for server in connection._servers:
            server.authenticate = log_in
        assert ask(connection, Says(a=["answer"], b=["answer"]), "key") == "answer"
    assert limits[0] <= 0.15


def test_a_closed_connection_asks_nobody(connection: EtcdConnection) -> None:
    connection.close()
    says = Says(a=["answer"], b=["answer"])
    with pytest.raises(StoreRefused, match="closed"):
        ask(connection, says)
    assert says.asked == []
