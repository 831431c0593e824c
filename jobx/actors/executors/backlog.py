"""Work that waits for an executor, by workflow and request.

The cost of an operation does not grow with the backlog: workflows take turns, and so do the
requests of each workflow. A request has no more work here than it has started.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice

from thespian.actors import ActorAddress

from jobx.actors.executors.process import WorkItem
from jobx.actors.messages import RequestKey
from jobx.actors.runtime.address import Address


class _Turns:
    """The waiting work of one workflow."""

    __slots__ = ("count", "requests")

    def __init__(self) -> None:
        self.count = 0
        self.requests: OrderedDict[RequestKey, deque[WorkItem]] = OrderedDict()


class Queue:
    """Work of all workflows; each takes its turn, as do the requests in each.

    Attributes:
        is_long: The work here is known to take long.
        count: Number of waiting items.
        hosted: How many of them are of other nodes.
    """

    def __init__(self, *, is_long: bool = False) -> None:
        self.is_long = is_long
        self.count = self.hosted = 0
        self._workflows: OrderedDict[str, _Turns] = OrderedDict()

    def __len__(self) -> int:
        return self.count

    def __contains__(self, workflow: object) -> bool:
        return workflow in self._workflows

    def count_of(self, workflow: str) -> int:
        """Return the number of waiting items of a workflow."""
        turns = self._workflows.get(workflow)
        return turns.count if turns else 0

    def workflows(self, most: int) -> Iterator[str]:
        """Yield the workflows in the order of their turns."""
        return islice(self._workflows, most)

    def requests(self, workflow: str) -> Collection[RequestKey]:
        """Return the requests of a workflow that have waiting work."""
        turns = self._workflows.get(workflow)
        return turns.requests.keys() if turns else ()

    def names(self) -> Collection[str]:
        """Return the workflows with waiting work."""
        return self._workflows.keys()

    def own(self) -> set[str]:
        """Return the workflows with waiting work of requests of this node."""
        return {
            name
            for name, turns in self._workflows.items()
            if any(not Address.is_hosted(items[0].owner) for items in turns.requests.values())
        }

    def peek(self, workflow: str) -> WorkItem:
        """Return the next item of a workflow."""
        return next(iter(self._workflows[workflow].requests.values()))[0]

    def take(self, workflow: str) -> WorkItem:
        """Remove and return the next item of a workflow."""
        turns = self._workflows[workflow]
        key, items = next(iter(turns.requests.items()))
        item = items.popleft()
        self._workflows.move_to_end(workflow)
        turns.requests.move_to_end(key)
        self._left(turns, key, [item])
        return item

    def add(self, item: WorkItem, *, first: bool = False) -> None:
        """Add work; ``first``: before the other work of its request."""
        key = item.key
        turns = self._workflows.get(key.workflow)
        if turns is None:
            turns = self._workflows[key.workflow] = _Turns()
        items = turns.requests.get(key)
        if items is None:
            items = turns.requests[key] = deque()
        if first:
            items.appendleft(item)
        else:
            items.append(item)
        turns.count += 1
        self.count += 1
        self.hosted += Address.is_hosted(item.owner)

    def drop(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget all that waits of an owner, whose request is known."""
        turns = self._workflows.get(key.workflow)
        items = turns.requests.get(key) if turns else None
        if turns is None or items is None:
            return
        kept, gone = deque[WorkItem](), list[WorkItem]()
        for item in items:
            (gone if item.owner == owner else kept).append(item)
        turns.requests[key] = kept
        self._left(turns, key, gone)

    def take_if(self, is_wanted: Callable[[WorkItem], bool]) -> list[WorkItem]:
        """Remove and return all items of a kind; looks at all of them."""
        taken: list[WorkItem] = []
        for turns in list(self._workflows.values()):
            for key, items in list(turns.requests.items()):
                found = [item for item in items if is_wanted(item)]
                turns.requests[key] = deque(item for item in items if not is_wanted(item))
                self._left(turns, key, found)
                taken += found
        return taken

    def _left(self, turns: _Turns, key: RequestKey, items: Sequence[WorkItem]) -> None:
        turns.count -= len(items)
        self.count -= len(items)
        self.hosted -= sum(Address.is_hosted(item.owner) for item in items)
        if not turns.requests[key]:
            del turns.requests[key]
        if not turns.requests:
            del self._workflows[key.workflow]


class Backlog:
    """Waiting work: short work, work that is known to take long, and foreign work.

    Attributes:
        foreign: Work that only other nodes can do, by what it requires.
    """

    def __init__(self) -> None:
        self.short = Queue()
        self.long = Queue(is_long=True)
        self.foreign: dict[frozenset[str], Queue] = {}

    def __len__(self) -> int:
        return self.count + sum(map(len, self.foreign.values()))

    @property
    def count(self) -> int:
        """Number of items that can be done here."""
        return self.short.count + self.long.count

    @property
    def own_count(self) -> int:
        """How many of them are of requests of this node."""
        return self.count - self.short.hosted - self.long.hosted

    def add(self, item: WorkItem, *, first: bool = False) -> None:
        """Add work; ``first``: before the other work of its request."""
        if item.foreign:
            queue = self.foreign.setdefault(item.foreign, Queue())
        else:
            queue = self.long if item.is_long else self.short
        queue.add(item, first=first)

    def foreign_kinds(self) -> set[tuple[str, frozenset[str]]]:
        """Return the workflows of foreign work, with what it requires."""
        self.foreign = {requires: queue for requires, queue in self.foreign.items() if queue.count}
        return {(name, words) for words, queue in self.foreign.items() for name in queue.names()}

    def own(self) -> set[str]:
        """Return the workflows with waiting work of requests of this node."""
        return set().union(*(queue.own() for queue in self._queues()))

    def _queues(self) -> list[Queue]:
        return [self.short, self.long, *self.foreign.values()]

    def take_if(self, is_wanted: Callable[[WorkItem], bool]) -> list[WorkItem]:
        """Remove and return all items of a kind; looks at all of them."""
        return [item for queue in self._queues() for item in queue.take_if(is_wanted)]

    def drop(self, key: RequestKey, owner: ActorAddress) -> None:
        """Forget all that waits of an owner, whose request is known."""
        for queue in self._queues():
            queue.drop(key, owner)
