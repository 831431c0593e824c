"""How a node joins its cluster: opens its bridge, and last of all becomes a member.

A member is registered, follows the other nodes, adopts what lost ones leave, and does what it is
asked to through the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from thespian.actors import Actor

from jobx.actors.cluster import calls
from jobx.actors.cluster.adopter import Adopter
from jobx.actors.cluster.adoption import Adoption, Inherited
from jobx.actors.cluster.asking import Answering
from jobx.actors.cluster.calls import Calls
from jobx.actors.cluster.lent_pool import Pool
from jobx.actors.cluster.membership import Membership
from jobx.actors.cluster.registration import Registration
from jobx.actors.parts import Parts
from jobx.actors.runtime.system import LoopSystemBase
from jobx.actors.threads import in_daemon
from jobx.config import Settings
from jobx.kv import keys
from jobx.kv.leases import Lease
from jobx.kv.opening import LEASE_S, leases_of
from jobx.kv.store import Store
from jobx.questions import Question


def open_membership(
    parts: Parts,
    settings: Settings,
    incarnation: int,
    base: LoopSystemBase,
    pool: Pool,
    *,
    kinds: Mapping[str, type[Actor]],
    more_room: Callable[[str], None],
    answer: Answering,
    probe: Callable[[Callable[[], None]], None],
) -> Membership:
    """Prepare the work with other nodes; the arguments are those of ``Membership``."""
    from jobx.actors.bridge.nsq.opening import open_transport  # noqa: PLC0415 - a node alone needs no pynsq

    transport = open_transport(settings)
    parts.callback(transport.close)
    parts.push_async_callback(transport.finish)
    membership = Membership(
        *(settings, incarnation, base, transport, pool),
        kinds=kinds,
        more_room=more_room,
        answer=answer,
        probe=probe,
    )
    parts.callback(membership.close)
    return membership


class Joined:
    """A node that has joined its cluster, until it drains.

    Args:
        parts: The parts of the node.
        store: Their common store.
        membership: Its part in the cluster.
        lease: The lease of its id; it is held.

    """

    def __init__(self, parts: Parts, store: Store, membership: Membership, lease: Lease) -> None:
        self._registration: Registration = membership.registration(lease)
        self._pulse = membership.pulse
        self._parts = parts
        self._store = store
        self._membership = membership
        self._adoption: Adoption | None = None

    async def begin(
        self,
        node_id: str,
        adopt: Callable[[Inherited], object],
        ask: Callable[[Question[Any]], Awaitable[Any]],
        drain: Callable[[], None],
    ) -> None:
        """Register, and begin what else a member does.

        Its queues may still be opening: peers ask again until one of their letters is answered.

        Args:
            node_id: This node.
            adopt: Called with what it is to adopt.
            ask: Asks this node a question.
            drain: Called when the node is to drain and end.
        """
        await in_daemon("lease", self._registration.renew)
        has_settled = partial(self._registration.has_settled, LEASE_S)
        self._adoption = self._membership.adoption(self._store, has_settled)
        thread = self._parts.threads(1, "adoption", wait=False, cancel_futures=True)
        adopter = Adopter(self._adoption, thread, adopt)
        self._parts.callback(adopter.stop)
        self._membership.follow(leases_of(self._store), keys.node(""), adopter.saw)
        obeying = Calls(self._store, node_id, self._membership, ask, drain)
        self._parts.periodic().every(calls.LOOK_S, None, obeying.look)
        self._parts.callback(self._pulse.stop)

    def renew(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Stay registered, unless the supervisor hangs; blocks.

        Returns:
            False if the node was registered anew.

        Raises:
            JobxError: See ``Lease.renew``.
        """
        loop.call_soon_threadsafe(self._pulse.beat)
        return self._registration.renew() if self._pulse.is_alive else True

    def is_lost(self, node_id: str) -> bool:
        """Whether a node is lost, as far as this one knows."""
        return self._adoption is None or self._adoption.is_lost(node_id)
