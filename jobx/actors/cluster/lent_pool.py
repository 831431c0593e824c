"""What the cluster asks of a node's executors: how much they have to do, and to share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from thespian.actors import ActorAddress

from jobx.actors.executors.rebalancing import Away
from jobx.actors.messages import Run


class Pool(Protocol):
    """The executors of this node, as far as they are lent."""

    @property
    def own_slots(self) -> int:
        """Executors of this node that can take work now."""

    @property
    def own_waiting(self) -> int:
        """Work frames of requests of this node that wait for an executor of it."""

    @property
    def kept(self) -> int:
        """Idle executors that work which takes long may not have now."""

    def is_long(self, run: Run) -> bool:
        """Whether work is known to take long."""

    def foreign(self) -> Collection[tuple[str, frozenset[str]]]:
        """Return the workflows of work that only others can do, with what it requires."""

    @property
    def is_divisible(self) -> bool:
        """Whether others could do a part of what is at work, and sooner."""

    def borrow(self, count: int, idle: Callable[[], Sequence[Away]]) -> None:
        """Use so many executors of other nodes; ``idle`` returns the idle ones."""

    def give_back(self) -> None:
        """Let other nodes have their waiting work back, unless an executor here will take it."""

    def workflows(self) -> Collection[str]:
        """Return the workflows with work of requests of this node."""

    def owners(self) -> Iterable[Sequence[ActorAddress]]:
        """Return for each executor with work the owners of its work frames, in order."""
