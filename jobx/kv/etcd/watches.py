"""A watch of etcd: a list, and from its revision on the changes, which the servers remember.

Each look opens a watch for a few seconds at most, from the revision that was last seen. So a
connection that is half open, or a server that stands still, is noticed by the next look, which does
not begin. What a compaction removed is listed anew, and so is everything every half minute, since
etcd has lost events before.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any, Final

from aetcd.rpc import kv_pb2, rpc_pb2

from jobx.kv.changes import Changed
from jobx.kv.etcd.connection import EtcdConnection, Server
from jobx.kv.etcd.transactions import Space
from jobx.kv.leases import Holders, decode
from jobx.kv.prefixes import prefix_end
from jobx.kv.timed_lease import TimedWatch

#: How long one look lasts at most.
LOOK_S: Final = 3.0
#: How often everything is listed anew.
LIST_S: Final = 30.0
#: A look shorter than this says nothing about its server.
_SHORT_S: Final = 0.5


class EtcdWatch(TimedWatch):
    """The contract of ``Watch``.

    Args:
        connection: The connection to the servers.
        space: The keys of the store.
        prefix: The prefix of the keys.
    """

    def __init__(self, connection: EtcdConnection, space: Space, prefix: str) -> None:
        super().__init__()
        self._connection = connection
        self._space = space
        self._low, self._high = space.bounds(prefix, prefix_end(prefix))
        self._holders: Holders = {}
        self._revision = 0
        self._list_at = 0.0

    def _now(self) -> Holders:
        if time.monotonic() >= self._list_at:
            self._list()
        return self._holders

    def _wait(self, limit_s: float) -> None:
        if not self._look(min(limit_s, LOOK_S)):
            self._list_at = 0.0

    def _list(self) -> None:
        request = rpc_pb2.RangeRequest(key=self._low, range_end=self._high)
        answer = self._connection.call(_range, request, self._connection.deadline())
        self._holders = {self._name(item): decode(item.value) for item in answer.kvs}
        self._revision = answer.header.revision
        self._list_at = time.monotonic() + LIST_S

    def _look(self, limit_s: float) -> bool:
        """Wait for changes and take them in; return False if a list is needed."""
        create = rpc_pb2.WatchCreateRequest(
            key=self._low, range_end=self._high, start_revision=self._revision + 1
        )
        has_begun = limit_s < _SHORT_S
        request = rpc_pb2.WatchRequest(create_request=create)
        with closing(self._connection.watch(request, limit_s)) as answers:
            for answer in answers:
                if answer.canceled:
                    return False
                has_begun = True
                if answer.events:
                    self._take(answer.events)
                    break
        return has_begun

    def _take(self, events: Iterable[Any]) -> None:
        for event in events:
            if event.type == kv_pb2.Event.PUT:
                self._holders[self._name(event.kv)] = decode(event.kv.value)
            else:
                self._holders.pop(self._name(event.kv), None)
            # Not the answer's own revision: a server that catches up cuts what it sends.
            self._revision = event.kv.mod_revision

    def _name(self, item: Any) -> str:
        return self._space.name(item.key, "replace")


class EtcdChanges:
    """The contract of ``Changes``; see ``EtcdWatch`` for the arguments."""

    def __init__(self, connection: EtcdConnection, space: Space, prefix: str) -> None:
        self._connection = connection
        self._space = space
        self._low, self._high = space.bounds(prefix, prefix_end(prefix))
        #: The last one that was seen; 0: the next look begins at the present one.
        self._revision = 0
        #: A watch from there on; it lasts for several calls, since opening one takes a while.
        self._answers: Generator[Any, None, None] | None = None

    def next(self, timeout_s: float) -> Changed:
        """See ``Changes.next``."""
        if not self._revision:
            request = rpc_pb2.RangeRequest(key=self._low)
            answer = self._connection.call(_range, request, self._connection.deadline())
            self._revision = answer.header.revision
            return Changed([], has_gap=True)
        if self._answers is None:
            self._answers = self._look(min(timeout_s, LOOK_S))
        for answer in self._answers:
            if answer.canceled:  # as after a compaction
                self._revision = 0
                break
            if answer.events:
                self._revision = answer.events[-1].kv.mod_revision
                return Changed([self._space.name(one.kv.key, "replace") for one in answer.events])
        self._answers.close()
        self._answers = None
        return Changed([])

    def _look(self, limit_s: float) -> Generator[Any, None, None]:
        create = rpc_pb2.WatchCreateRequest(
            key=self._low,
            range_end=self._high,
            start_revision=self._revision + 1,
            filters=[rpc_pb2.WatchCreateRequest.NODELETE],
        )
        return self._connection.watch(rpc_pb2.WatchRequest(create_request=create), limit_s)


def _range(server: Server) -> Any:
    return server.range
