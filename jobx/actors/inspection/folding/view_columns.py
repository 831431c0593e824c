"""What is kept of a request for its views: columns of numbers, in blocks of 1,000 vertices."""

from __future__ import annotations

import bisect
import zlib
from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from jobx.actors.inspection.folding.activity import Activity
from jobx.actors.request.events import Kind
from jobx.errors import UNREADABLE, BlobDamaged
from jobx.views import InvocationState, Reading

#: Vertices of one block.
BLOCK: Final = 1000
KINDS: Final[tuple[Kind, ...]] = ("map", "combine", "reduce")
#: How far a vertex is, in its lower bits: unknown, mapper to come, mapper has mapped on, mapper
#: done without and with its combiner, all done in its trip, and reducer done on its own.
ABSENT, PENDING, RUNNING, MAPPED, COMBINED, REDUCED, SETTLED, SETTLED_COMBINED, REPLACED = range(9)
#: An attempt of it failed for good, or was not tried again before the request ended.
FAILED: Final = 16
_STAGE: Final = 15
ENDED: Final = frozenset((REDUCED, SETTLED, SETTLED_COMBINED))
WITH_COMBINER: Final = frozenset((COMBINED, REDUCED, SETTLED_COMBINED))
_STATES: Final[dict[int, InvocationState]] = {
    **dict.fromkeys((PENDING,), "pending"),
    **dict.fromkeys((RUNNING, MAPPED, COMBINED), "running"),
    **dict.fromkeys(ENDED, "succeeded"),
    REPLACED: "replaced",
}
_LEVEL: Final = 1
_PACKER: Final = msgspec.msgpack.Encoder()


class Tries(Struct):
    """What failed of a vertex: by kind the present attempt and its failure, an index or -1."""

    attempts: list[int]
    failures: list[int]
    queued_at: float = 0.0


class FailedAttempt(NamedTuple):
    """An attempt that failed: of what, when it began, how long it ran, and where; -1: unknown.

    One that did not run, or of an older log, began when it ended.
    """

    name: str
    began_at: float
    took_s: float = 0.0
    place: int = -1


class Branch(Struct):
    """A mapper that has mapped on, or whose reducer ran on its own.

    Attributes:
        chunks: Indexes of the chunks of its children.
        current: Those that its present attempt yielded, until its reducer is done …
        earlier: … and those of earlier attempts, which it may yield again, the next one last.
        children: How many children are in ``chunks``.
        parts: The partitions of its reducer that are done, as bits.
    """

    chunks: list[int] = []
    current: list[int] = []
    earlier: list[int] = []
    children: int = 0
    began_at: float = 0.0
    place: int = 0
    us: int = 0
    parts: int = 0


class Block:
    """The columns of 1,000 vertices: durations in microseconds, instants in seconds, 0: none.

    Attributes:
        stages: How far each vertex is.
        began_at: When its mapper began.
        spent_us: By kind, what it took in its trip.
        places: Index of where it ran.
        tries: Those of which something failed.
        branches: Those with children, or with a reducer that ran on its own.
        low_at, high_at: Between these something of it ran.
    """

    __slots__ = (
        "began_at",
        "branches",
        "high_at",
        "low_at",
        "places",
        "spent_us",
        "stages",
        "tries",
    )

    def __init__(self) -> None:
        self.stages = bytearray(BLOCK)
        self.began_at = array("d", bytes(8 * BLOCK))
        self.spent_us = tuple(array("I", bytes(4 * BLOCK)) for _ in KINDS)
        self.places = array("I", bytes(4 * BLOCK))
        self.tries: dict[int, Tries] = {}
        self.branches: dict[int, Branch] = {}
        self.low_at = float("inf")
        self.high_at = 0.0

    def saw(self, began_at: float, ended_at: float) -> None:
        """Take note of when something of it ran."""
        self.low_at = min(self.low_at, began_at)
        self.high_at = max(self.high_at, ended_at)

    def pack(self) -> bytes:
        """Return it as bytes; see ``unpack_block``."""
        columns: list[array[Any]] = [self.began_at, *self.spent_us, self.places]
        packed = _Packed(
            bytes(self.stages), [column.tobytes() for column in columns], self.tries,
            self.branches, self.low_at, self.high_at,
        )  # fmt: skip
        return zlib.compress(_PACKER.encode(packed), _LEVEL)


class _Packed(Struct, array_like=True):
    """A block as it is written."""

    stages: bytes
    columns: list[bytes]
    tries: dict[int, Tries]
    branches: dict[int, Branch]
    low_at: float
    high_at: float


_BLOCK: Final = msgspec.msgpack.Decoder(_Packed)


def unpack_block(body: bytes) -> Block:
    """Return the block of ``Block.pack``.

    Raises:
        BlobDamaged: It is none.
    """
    block = Block()
    try:
        packed = _BLOCK.decode(zlib.decompress(body))
        began_at, *spent_us, places = packed.columns
        block.began_at, block.places = column_of("d", began_at), column_of("I", places)
        block.spent_us = tuple(column_of("I", one) for one in spent_us)
    except (zlib.error, *UNREADABLE) as error:
        raise BlobDamaged("view", str(error)) from error
    block.stages = bytearray(packed.stages)
    block.tries, block.branches = packed.tries, packed.branches
    block.low_at, block.high_at = packed.low_at, packed.high_at
    return block


def column_of(form: Any, packed: bytes) -> array[Any]:
    """Return a column of the form of ``array`` from its bytes; raises ValueError."""
    column: array[Any] = array(form)
    column.frombytes(packed)
    return column


class Chunks:
    """All chunks of siblings, in the order of their first vertices, as columns."""

    def __init__(self) -> None:
        self.starts = array("Q")
        self.counts = array("I")
        self.parents = array("q")
        self.totals = array("I")
        self.ats = array("d")

    def add(self, start: int, count: int, parent: int, total: int, at: float) -> int:
        """Add the next chunk; return its index."""
        self.starts.append(start)
        self.counts.append(count)
        self.parents.append(parent)
        self.totals.append(total)
        self.ats.append(at)
        return len(self.starts) - 1

    def index(self, vertex: int) -> int:
        """Return the chunk that a vertex is in, -1 if there is none."""
        found = bisect.bisect_right(self.starts, vertex) - 1
        return found if found >= 0 and vertex < self.starts[found] + self.counts[found] else -1


class Total(Struct):
    """The vertices of one step at one depth: how many there are at each stage, and more."""

    step: str
    depth: int
    has_combiner: bool = False
    stages: dict[int, int] = {}
    retries: int = 0
    combined: int = 0
    reduced: int = 0
    timed: int = 0
    sum_us: int = 0
    max_us: int = 0


class Group(Struct):
    """Failed attempts of one type, from one line, in one step."""

    type: str
    line: str | None
    step: str
    first: str
    message: str
    count: int = 0
    is_final: bool = False


class ShortFailure(Struct, frozen=True):
    """What rows show of a failure."""

    kind: str
    type: str
    message: str
    handler_name: str | None = None
    attempt: int = 1


class Extent(NamedTuple):
    """What holds for a block as a whole.

    Attributes:
        low_at, high_at: Between these something of it ran.
        children: How many children its vertices have.
    """

    low_at: float
    high_at: float
    children: int


class Columns(Protocol):
    """A request as its views need it: folded in memory, or from a file.

    Attributes:
        as_of: The number of the last event.
        is_done: The request has ended.
        accepted_at: When it was accepted.
        count: Number of its vertices.
        chunks: Its chunks.
        totals: Its steps by depth.
        groups: Its failed attempts.
        failures: What failed, each once.
        places: Where invocations ran: a node and a process id.
        failed: The first attempts that failed.
        activity: How much ran when.
        reading: How far the log was read, if it was not read to its end.
    """

    as_of: int
    is_done: bool
    accepted_at: float
    count: int
    chunks: Chunks
    totals: list[Total]
    groups: list[Group]
    failures: list[ShortFailure]
    places: list[tuple[str, int]]
    failed: list[FailedAttempt]
    activity: Activity
    reading: Reading | None

    def block(self, number: int) -> Block:
        """Return a block."""

    def stages(self, number: int) -> dict[tuple[int, int], int]:
        """Return how many vertices of a block are of each total and stage."""

    def extent(self, number: int) -> Extent:
        """Return what holds for a block as a whole."""


def stage_of(code: int) -> int:
    """Return the stage of a vertex without whether it failed."""
    return code & _STAGE


def has_run(code: int) -> bool:
    """Tell whether a mapper's attempt has ended, so that it is known when that began."""
    stage = stage_of(code)
    return MAPPED <= stage < REPLACED or (stage < MAPPED and bool(code & FAILED))


def state_of(code: int, *, is_done: bool) -> InvocationState:
    """Return the state of a vertex, its combiner and reducer included."""
    state = _STATES[code & _STAGE]
    if state in ("succeeded", "replaced"):
        return state
    if code & FAILED:
        return "failed"
    return "cancelled" if is_done else state


def state_of_kind(kind: int, code: int, tries: Tries | None, *, is_done: bool) -> InvocationState:
    """Return the state of a mapper (0), combiner (1) or reducer (2)."""
    stage = code & _STAGE
    if stage == REPLACED:
        return "replaced"
    if code & FAILED and tries is not None and tries.failures[kind] >= 0:
        return "failed"
    if stage >= REDUCED or (kind < 2 and stage >= MAPPED):
        return "succeeded"
    if is_done:
        return "cancelled"
    return "running" if kind == 0 and stage == RUNNING else "pending"


def kinds_of(code: int, *, has_combiner: bool) -> tuple[int, ...]:
    """Return which of mapper (0), combiner (1) and reducer (2) a vertex has."""
    return (0, 1, 2) if has_combiner and code & _STAGE in WITH_COMBINER else (0, 2)


def parts(first: int, stop: int) -> Iterable[tuple[int, int]]:
    """Return the parts of a range of vertices that are in one block each."""
    if first >= stop:
        return ()
    if first // BLOCK == (stop - 1) // BLOCK:
        return ((first, stop),)
    edges = [first, *range((first // BLOCK + 1) * BLOCK, stop, BLOCK), stop]
    return pairwise(edges)
