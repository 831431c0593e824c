"""How an open request stands: what each of its open invocations waits for.

The values that say so, which travel inside a node; ``open_groups.py`` makes the groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from jobx.actors.request.branches import MAPPER, Target
from jobx.actors.request.events import Kind

#: ``running``: an executor is at it. ``dying``: its executor was killed. ``behind``: an executor
#: has it, behind other work. ``queued``: it waits for an executor. ``capability``: it waits for one
#: that offers something. ``peer``: another node has it. ``backoff``: it failed, and is tried again
#: later. ``full``: it found no room on a disk, and is tried again later. ``ready``: the request has
#: started as much as it may. ``window``: a suspended mapper, whose children are too many.
#: ``remade``: an input is gone, and is made again. ``children``: a mapper that waits for its
#: children.
Cause: TypeAlias = Literal[
    "running", "dying", "behind", "queued", "capability", "peer", "backoff", "full", "ready",
    "window", "remade", "children",
]  # fmt: skip

#: Events without a commit, beyond which nothing new is started.
MAX_UNCOMMITTED: Final = 256
#: Most groups; the smallest of more are one for each cause.
MOST_GROUPS: Final = 20
#: Most back-offs, suspended mappers, branches or chunks that are looked at, since nothing else
#: happens on the node's loop meanwhile. What lies beyond is counted.
MOST_SEEN: Final = 500


class Whereabouts(Struct, frozen=True):
    """Where work is.

    Attributes:
        cause: ``running``, ``dying``, ``behind``, ``queued``, ``capability`` or ``peer``.
        since: When it came there, monotonic seconds.
        node: The node, if it is another one.
        executor: The process id of the executor, if one has it.
        vertex: Which of its invocations runs, if one does.
        lacks: What this node does not offer, if that is the cause; why its executor dies.
        ahead: What its executor does before it, in words.
        usual_s: How long invocations of its version usually take; 0: not known.
        limit_s: How long it may take; 0: not known.
        is_still: A signal has stopped its executor.
    """

    cause: Cause
    since: float
    node: str = ""
    executor: int = 0
    vertex: int = MAPPER
    lacks: str = ""
    ahead: str = ""
    usual_s: float = 0.0
    limit_s: float = 0.0
    is_still: bool = False


class Backoff(Struct, frozen=True):
    """A back-off: when it ends, monotonic seconds, and the error that it follows, with its kind."""

    until: float
    error: str
    kind: str = ""
    step: str = ""

    @property
    def cause(self) -> Cause:
        """What it waits for."""
        return "full" if self.kind in ("full", "disk") else "backoff"


class Backoffs:
    """The back-offs of a request that have not ended."""

    def __init__(self) -> None:
        self._waits: dict[Target, Backoff] = {}
        self._counts: Counter[tuple[str, bool]] = Counter()

    def begin(self, target: Target, wait: Backoff) -> None:
        """Note that a back-off has begun."""
        self.end(target)
        self._waits[target] = wait
        self._counts[wait.step, target[1] < 0] += 1

    def end(self, target: Target) -> None:
        """Note that a back-off has ended."""
        ended = self._waits.pop(target, None)
        if ended is not None:
            self._counts[ended.step, target[1] < 0] -= 1

    def first(self, most: int) -> Iterator[tuple[Target, Backoff]]:
        """Yield the oldest ones."""
        return islice(self._waits.items(), most)

    def beyond(self, most: int) -> Counter[tuple[str, bool]]:
        """Count those that ``first`` does not yield, by step and whether a mapper waits."""
        if len(self._waits) <= most:
            return Counter()
        seen = Counter((wait.step, target[1] < 0) for target, wait in self.first(most))
        return self._counts - seen


class Group(Struct, frozen=True):
    """Open invocations that wait for the same.

    Attributes:
        cause: For what.
        kind: ``map`` or ``reduce``.
        step: Their step; empty: several.
        count: How many.
        vertex: The one that has waited longest, as far as is known.
        since: Since when that one has, monotonic seconds; None: not known.
        until: When the first of them goes on, monotonic seconds; None: not known.
        node: The node where they are, if it is another one; empty: this one, or several.
        executor: The process id of the executor that is at it, if one is.
        error: What the last attempt of that one ended with, or what no executor here offers, or why
            its executor dies.
        attempt: The attempt of that one.
        tries: How often its handler may be tried; 0: not known …
        faults: … and how often it has failed.
        ahead: What its executor does before that one, in words.
        usual_s: How long that one usually takes; 0: not known.
        limit_s: How long that one may take; 0: not known.
        is_still: A signal has stopped the executor that runs that one.
        part: The partition of a reducer, if it has several …
        parts: … and how many; else 0.
        first_open: The first child that that one waits for, or what makes its input again.
        opens: The step of that child.
    """

    cause: Cause
    kind: Kind
    step: str
    count: int
    vertex: int
    since: float | None = None
    until: float | None = None
    node: str = ""
    executor: int = 0
    error: str = ""
    attempt: int = 1
    tries: int = 0
    faults: int = 0
    ahead: str = ""
    usual_s: float = 0.0
    limit_s: float = 0.0
    is_still: bool = False
    part: int = 0
    parts: int = 0
    first_open: int = MAPPER
    opens: str = ""


class Busy(Struct, frozen=True):
    """What executors do for one request.

    Attributes:
        workflow: Its workflow …
        request_id: … and its id.
        count: How many executors it has.
        invocation: The one that has run longest …
        since: … since then, monotonic seconds.
    """

    workflow: str
    request_id: str
    count: int
    invocation: str
    since: float


class Standing(Struct, frozen=True):
    """How an open request stands.

    Attributes:
        groups: What its open invocations wait for.
        open: How many are open.
        phase: ``open``, ``proving`` or ``closed``, as its coordinator says.
        uncommitted: Events that are not durable yet.
        is_ending: Nothing more is started: its end is to become durable.
        busy: What executors are at for other requests, those with most first.
        share: How many executors it has itself.
        is_accepted: Its first event is durable.
        adopted: The number of the event by which its coordinator took it over; 0: it began here.
        adopted_from: The node that coordinated it before, if it was another one.
    """

    groups: list[Group]
    open: int
    phase: str
    uncommitted: int
    is_ending: bool = False
    busy: tuple[Busy, ...] = ()
    share: int = 0
    is_accepted: bool = True
    adopted: int = 0
    adopted_from: str = ""
