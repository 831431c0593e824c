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

from jobx.actors.cluster.members import NodeRecord

#: How long each heir waits for the one before it.
PATIENCE_S = 5.0


def order(
    names: tuple[str, str], heirs: Mapping[str, NodeRecord], needed: Iterable[str]
) -> list[str]:
    """Return the nodes that may adopt a request, the first one first.

    Args:
        names: Workflow and id of the request.
        heirs: What the survivors show.
        needed: The capabilities of the lost node.
    """
    able = frozenset(needed)

    def place(node_id: str) -> tuple[bool, bool, bytes]:
        record = heirs[node_id]
        return not able <= {*record.capabilities}, not record.slots, _weight(names, node_id)

    return sorted((name for name, one in heirs.items() if one.adopts(names[0])), key=place)


def waits_s(
    names: tuple[str, str], node_id: str, heirs: Mapping[str, NodeRecord], needed: Iterable[str]
) -> float | None:
    """Return how long after the loss a node adopts a request; None: never."""
    found = order(names, heirs, needed)
    return found.index(node_id) * PATIENCE_S if node_id in found else None


def _weight(names: tuple[str, str], node_id: str) -> bytes:
    return hashlib.blake2b("/".join((*names, node_id)).encode(), digest_size=8).digest()
