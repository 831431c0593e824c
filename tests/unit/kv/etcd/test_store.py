"""How long a commit on etcd may take, and what of it a server refuses, with servers of the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from aetcd.rpc import rpc_pb2

from jobx.errors import StoreUnavailable, TooLarge
from jobx.kv.etcd import store as module
from jobx.kv.etcd.connection import EtcdConnection
from jobx.kv.etcd.store import EtcdStore
from jobx.kv.store import CommitOutcome, Create, Limits, Unit

CHAINS = [[[Create(f"{number:03}", b"")]] for number in range(4)]
TIMEOUT_S = 5.0


class Clock:
    """Stands in for the module time: each transaction takes a while."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Slow(EtcdConnection):
    """A connection to a healthy server that takes most of the time limit for a call."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(["a:1"], None, None, TIMEOUT_S)
        self._clock = clock
        self.took_s = 0.0

    def deadline(self) -> float:
        return self._clock.now + self.timeout_s

    def call(self, pick: Any, request: Any, deadline: float, writes: str | None = None) -> Any:
        if writes is None:
            return rpc_pb2.RangeResponse()
        assert deadline == self._clock.now + TIMEOUT_S
        self._clock.now += self.took_s
        return rpc_pb2.TxnResponse(succeeded=True)


Bench = tuple[EtcdStore, Slow]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    connection = Slow(clock)
    with closing(EtcdStore(connection, limits=Limits(1, 1000))) as store:
        yield store, connection


def test_each_transaction_has_the_time_limit(bench: Bench) -> None:
    store, connection = bench
    connection.took_s = 0.9 * TIMEOUT_S
    assert store.commit_many(CHAINS) == [CommitOutcome(1)] * 4


def test_a_commit_begins_nothing_after_its_own_limit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMMIT_TIMEOUTS", 1)
    store, connection = bench
    connection.took_s = 0.9 * TIMEOUT_S
    found = store.commit_many(CHAINS)
    assert [one.done for one in found] == [1, 1, 0, 0]
    assert [type(one.error) for one in found[2:]] == [StoreUnavailable] * 2


class Small(Slow):
    """A connection to a server that takes fewer writes in a transaction than it should."""

    def call(self, pick: Any, request: Any, deadline: float, writes: str | None = None) -> Any:
        if writes is not None and len(request.success) > 1:
            raise TooLarge("what is written", "2 writes", "too many")
        return super().call(pick, request, deadline, writes)


def _create(*names: str) -> Unit:
    return [Create(name, b"") for name in names]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[EtcdStore]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    with closing(EtcdStore(Small(clock), limits=Limits(2, 1000))) as store:
        yield store


def test_units_that_a_server_takes_only_alone_are_written_alone(small: EtcdStore) -> None:
    assert small.commit_many([[_create("a"), _create("b")]]) == [CommitOutcome(2)]


def test_a_unit_that_a_server_does_not_take_leaves_those_before_and_beside(
    small: EtcdStore,
) -> None:
    chains = [[_create("a"), _create("b", "c"), _create("d")], [_create("e")]]
    first, second = small.commit_many(chains)
    assert (first.done, type(first.error)) == (1, TooLarge)
    assert second == CommitOutcome(1)
