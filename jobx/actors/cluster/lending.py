"""Idle executors are lent to nodes that have more work than executors. Pure.

A node offers each executor that it does not need to one peer that wants some. Offers are numbers
that hold until the next one, so they may cross with what they are about: at worst a batch waits
for an executor of its peer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar

L = TypeVar("L")

#: Batches that a node keeps at each executor: one at work, one behind it.
DEPTH = 2


class NodeLoad(NamedTuple):
    """How much work of its own a node has.

    Attributes:
        slots: Number of its executors.
        own: Batches of its own requests that are at work or wait here.
        is_divisible: Others could do a part of what is at work.
        lent: Number of its executors that are at work for other nodes.
    """

    slots: int
    own: int
    is_divisible: bool = False
    lent: int = 0

    @property
    def usable(self) -> int:
        """Executors here that work of its own may have."""
        return max(0, self.slots - self.lent)


def offers(load: NodeLoad, wanting: Collection[L]) -> dict[L, int]:
    """Return how many executors each of those that want some may use; first come, more get."""
    free = max(0, load.slots - load.own)
    count = len(wanting)
    shares = enumerate(wanting)
    return {lane: (free + count - 1 - number) // count for number, lane in shares}


def wants(load: NodeLoad, borrowed: int) -> bool:
    """Whether a node could use executors of others: its own all have work, and there is more.

    Args:
        load: The load of the node.
        borrowed: Batches of its requests on other nodes.
    """
    has_more = load.own > load.usable or load.is_divisible or borrowed > 0
    return load.own >= load.usable and has_more


def choose(load: NodeLoad, offered: Mapping[L, int], used: Mapping[L, int]) -> L | None:
    """Return where the next batch goes; None: here.

    Idle executors come first, those here before others; then the places behind busy ones.
    """
    for depth in range(1, DEPTH + 1):
        if load.own < depth * load.usable:
            return None
        for lane, count in offered.items():
            if used[lane] < depth * count:
                return lane
    return None
