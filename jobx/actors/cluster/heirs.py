"""Which node adopts a request of a lost node. Pure.

Every survivor orders all of them by itself, for each request: those first that can do whatever the
lost node could, then by rendezvous hashing (Thaler and Ravishankar, 1998). So a loss is shared by
all, a change of the members moves few requests, and nobody has to agree. The first one adopts at
once, each further one only after a while: if those before it do not, because they see other
members, stop, lack memory or do not know the form of the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from jobx.actors.cluster.members import NodeRecord

#: How long each heir waits for the one before it.
PATIENCE_S: Final = 5.0
_64_BITS: Final = (1 << 64) - 1
#: Unable, without executors, weight.
_Place: TypeAlias = tuple[bool, bool, int]


class Heirs:
    """The survivors of one lost node, in their order for each of its requests.

    Names are hashed once, and then only mixed: tens of thousands of requests meet tens of nodes.

    Args:
        records: What the survivors show, by their ids.
        needed: The capabilities of the lost node.
    """

    def __init__(self, records: Mapping[str, NodeRecord], needed: Iterable[str]) -> None:
        able = frozenset(needed)
        self._heirs = {
            name: (one, not able <= {*one.capabilities}, not one.slots, _hashed(name))
            for name, one in records.items()
        }

    def order(self, names: tuple[str, str]) -> list[str]:
        """Return the nodes that may adopt a request, the first one first; workflow and id."""
        places = self._places(names)
        return sorted(places, key=places.__getitem__)

    def waits_s(self, names: tuple[str, str], node_id: str) -> float | None:
        """Return how long after the loss a node adopts a request; None: never."""
        places = self._places(names)
        mine = places.get(node_id)
        if mine is None:
            return None
        return PATIENCE_S * sum([place < mine for place in places.values()])

    def _places(self, names: tuple[str, str]) -> dict[str, _Place]:
        request = _hashed("/".join(names))
        return {
            name: (is_unable, is_idle, _mixed(request ^ node))
            for name, (record, is_unable, is_idle, node) in self._heirs.items()
            if record.adopts(names[0])
        }


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _mixed(number: int) -> int:
    """Return 64 bits of which each depends on all of the given ones (SplitMix64, Steele 2014)."""
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _64_BITS
    return number ^ number >> 31
