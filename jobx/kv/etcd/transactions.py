"""Units of writes as transactions of etcd, in which all conditions precede all writes.

A transaction may write a key only once, and not inside a range that it deletes. So a unit is
simulated first: the transaction writes the final values, and conditions on keys that the unit wrote
itself are decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from aetcd.rpc import rpc_pb2

from jobx.kv.net_effect import Played
from jobx.kv.prefixes import prefix_end
from jobx.kv.store import Limits, Unit
from jobx.kv.write_batch import Coalesced, name_of, size_of

#: A unit, with the number of its chain.
Numbered: TypeAlias = tuple[int, Unit]


class Space:
    """The part of etcd's keys that belongs to a store: those after a root, which may be empty."""

    def __init__(self, root: str) -> None:
        self._root = root.encode()
        self._end = _beyond(self._root)

    def key(self, key: str) -> bytes:
        """Return a key as etcd has it."""
        return self._root + key.encode()

    def name(self, key: bytes, errors: str = "strict") -> str:
        """Return a key as the store has it; raises UnicodeDecodeError for a foreign key."""
        return key[len(self._root) :].decode(errors=errors)

    def bounds(self, low: str, high: str | None) -> tuple[bytes, bytes]:
        """Return a range as etcd takes it; a zero byte means its first key, and also no end."""
        return self.key(low) or b"\0", self._end if high is None else self.key(high)

    def transaction(self, played: Played) -> Any:
        """Return the transaction of a unit; if it fails, it reads the keys of its conditions."""
        writes = [self._write(key, value) for key, value in played.left.items()]
        for prefix in played.prefixes:
            writes += [_delete(low, high) for low, high in self._gaps(prefix, played.left)]
        reads = [
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=self.key(key), keys_only=True))
            for key in played.conditions
        ]
        compare = [
            equal_revision(self.key(key), revision) for key, revision in played.conditions.items()
        ]
        if played.refused is not None:
            writes = []
        return rpc_pb2.TxnRequest(compare=compare, success=writes, failure=reads)

    def coalesced(self, coalesced: Coalesced) -> Any:
        """Return the transaction of coalesced writes."""
        writes = [self._write(key, value) for key, value in coalesced.creates.items()]
        writes += [self._write(key, value) for key, value in coalesced.puts.items()]
        writes += [self._write(key, value) for key, (value, _) in coalesced.replaced.items()]
        writes += [self._write(key, None) for key in (*coalesced.deletes, *coalesced.exact)]
        writes += [_delete(*self.bounds(one, prefix_end(one))) for one in coalesced.prefixes]
        compare = [equal_revision(self.key(key), 0) for key in coalesced.creates]
        compare += [equal_revision(self.key(key), at) for key, at in coalesced.exact.items()]
        compare += [
            equal_revision(self.key(key), at) for key, (_, at) in coalesced.replaced.items()
        ]
        return rpc_pb2.TxnRequest(compare=compare, success=writes)

    def _write(self, key: str, value: bytes | None) -> Any:
        if value is None:
            return _delete(self.key(key), b"")
        put = rpc_pb2.PutRequest(key=self.key(key), value=value)
        return rpc_pb2.RequestOp(request_put=put)

    def _gaps(self, prefix: str, left: dict[str, bytes | None]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the ranges under a prefix between the written keys."""
        low, end = self.bounds(prefix, prefix_end(prefix))
        kept = (key for key in left if key.startswith(prefix))
        for key in sorted(map(self.key, kept)):
            if low < key:
                yield low, key
            low = key + b"\0"
        if end == b"\0" or low < end:
            yield low, end


def equal_revision(key: bytes, revision: int) -> Any:
    """Return the condition that a key has a revision; 0 means that it does not exist."""
    return rpc_pb2.Compare(
        key=key,
        result=rpc_pb2.Compare.EQUAL,
        target=rpc_pb2.Compare.MOD,
        mod_revision=revision,
    )


def _delete(low: bytes, high: bytes) -> Any:
    return rpc_pb2.RequestOp(
        request_delete_range=rpc_pb2.DeleteRangeRequest(key=low, range_end=high)
    )


def _beyond(root: bytes) -> bytes:
    """Return the first key after all keys with a root; a zero byte means no end."""
    return root[:-1] + bytes([root[-1] + 1]) if root else b"\0"


def groups(chains: Sequence[Sequence[Unit]], limits: Limits) -> Iterator[list[Numbered]]:
    """Cut chains into groups of units, in order, each of which may be one transaction.

    A unit that may need more than one transaction is its own group.
    """
    group: list[Numbered] = []
    names: set[str] = set()
    size = 0
    for number, chain in enumerate(chains):
        for unit in chain:
            own = {name_of(write) for write in unit}
            own_bytes = size_of(unit)
            is_over = len(names | own) > limits.writes or size + own_bytes > limits.size_bytes
            if group and is_over:
                yield group
                group, names, size = [], set(), 0
            group.append((number, unit))
            names |= own
            size += own_bytes
    if group:
        yield group
