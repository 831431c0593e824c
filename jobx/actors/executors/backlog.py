"""Work that waits for an executor, by workflow and request.

Nothing here takes longer the more there waits: workflows take turns, the requests of each do, and
what an owner has is found without a search.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from itertools import islice
from typing import TypeAlias

from thespian.actors import ActorAddress

from jobx.actors.executors.process import WorkItem
from jobx.actors.messages import RequestKey

_Items: TypeAlias = "OrderedDict[int, WorkItem]"


class _Turns:
    """What waits of one workflow."""

    __slots__ = ("count", "requests")

    def __init__(self) -> None:
        self.count = 0
        self.requests: OrderedDict[RequestKey, _Items] = OrderedDict()


class Queue:
    """Work of all workflows; each takes its turn, as do the requests in each."""

    def __init__(self) -> None:
        self._workflows: OrderedDict[str, _Turns] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, workflow: object) -> bool:
        return workflow in self._workflows

    def count(self, workflow: str) -> int:
        """Return how much waits of a workflow."""
        turns = self._workflows.get(workflow)
        return turns.count if turns else 0

    def workflows(self, most: int) -> Iterator[str]:
        """Yield the workflows whose turn comes next."""
        return islice(self._workflows, most)

    def requests(self, workflow: str) -> Collection[RequestKey]:
        """Return the requests of a workflow of which something waits."""
        turns = self._workflows.get(workflow)
        return turns.requests.keys() if turns else ()

    def peek(self, workflow: str) -> WorkItem:
        """Return what comes next of a workflow."""
        items = next(iter(self._workflows[workflow].requests.values()))
        return next(iter(items.values()))

    def take(self, workflow: str) -> WorkItem:
        """Return and forget what comes next of a workflow."""
        item = self.peek(workflow)
        self.remove(item)
        turns = self._workflows.get(workflow)
        if turns is not None:
            self._workflows.move_to_end(workflow)
            if item.key in turns.requests:
                turns.requests.move_to_end(item.key)
        return item

    def add(self, item: WorkItem, place: int, *, first: bool) -> None:
        """Add work; ``first``: before what else waits of its request."""
        turns = self._workflows.setdefault(item.key.workflow, _Turns())
        items = turns.requests.setdefault(item.key, OrderedDict())
        items[place] = item
        if first:
            items.move_to_end(place, last=False)
        item.place = place
        turns.count += 1
        self._count += 1

    def remove(self, item: WorkItem) -> None:
        """Forget work."""
        turns = self._workflows[item.key.workflow]
        items = turns.requests[item.key]
        del items[item.place]
        item.place = 0
        turns.count -= 1
        self._count -= 1
        if not items:
            del turns.requests[item.key]
        if not turns.requests:
            del self._workflows[item.key.workflow]


class Backlog:
    """Work that waits: what is short, and apart from it what is known to take long."""

    def __init__(self) -> None:
        self.short = Queue()
        self.long = Queue()
        self._places = 0
        self._owned: dict[ActorAddress, dict[int, WorkItem]] = {}

    def __len__(self) -> int:
        return len(self.short) + len(self.long)

    def add(self, item: WorkItem, *, is_long: bool, first: bool = False) -> None:
        """Let work wait; ``first``: before what else waits of its request."""
        self._places += 1
        item.is_long = is_long
        self._owned.setdefault(item.owner, {})[self._places] = item
        self._queue(item).add(item, self._places, first=first)

    def take(self, workflow: str, *, is_long: bool) -> WorkItem:
        """Return and forget what comes next of a workflow."""
        queue = self.long if is_long else self.short
        self._disown(queue.peek(workflow))
        return queue.take(workflow)

    def drop(self, owner: ActorAddress) -> None:
        """Forget all that waits of an owner."""
        for item in self._owned.pop(owner, {}).values():
            self._queue(item).remove(item)

    def _queue(self, item: WorkItem) -> Queue:
        return self.long if item.is_long else self.short

    def _disown(self, item: WorkItem) -> None:
        owned = self._owned[item.owner]
        del owned[item.place]
        if not owned:
            del self._owned[item.owner]
