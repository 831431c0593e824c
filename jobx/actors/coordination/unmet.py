"""Work of a request that no node can do now: it waits until one offers what it requires."""

from __future__ import annotations

from collections.abc import Collection

from jobx.actors.messages import RequestKey
from jobx.actors.ports import Services
from jobx.kv.requests.lives import Mark, OpenRequest


def words(node: Services, workflow: str, works: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what works require that no node offers."""
    missing = (node.missing(workflow, one) for one in set(works))
    return tuple(sorted({word for word in missing if word is not None}))


def is_all(node: Services, workflow: str, works: Collection[tuple[str, ...]]) -> bool:
    """Whether there are works, and no node offers what any of them requires."""
    return bool(works) and all(node.missing(workflow, one, is_begun=True) for one in set(works))


def pardon(node: Services, key: RequestKey) -> None:
    """Note that a request has nothing at work, so that no death of this node counts for it.

    What it waits for runs on other nodes. Its next life, and its next event, count as ever.
    """
    node.log.mark([OpenRequest(node.node_id, *key, Mark())])
